"""Calls a processor: job after job in one task, which a job that waits for something keeps."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextvars import copy_context
from typing import Any

from shared.jobs import Delivery
from shared.pool.gathering import Gathering
from shared.pool.judge import Judge
from shared.pool.retry_policy import RetryPolicy, verdict_for
from shared.pool.run import Cause, Process, Run, mismatch
from shared.pool.slots import Slots
from shared.verdicts import Deferred, Done, HandBack, Settlement, Verdict

LONGEST_STRETCH_SECONDS = 0.005
"""Jobs that never wait let the loop look at its sockets and timers at least this often."""


class Runner:
    """Runs one processor in the slots that all lanes of a pool share.

    A task costs more than most jobs that never wait. So a task takes job after job, each in a
    clean context; once a job suspends, its task is its own, and another task takes the next job.
    """

    def __init__(
        self,
        process: Process,
        timeout_seconds: float,
        cancel_grace_seconds: float,
        policy: RetryPolicy,
        gathering: Gathering,
        slots: Slots,
        judge: Judge,
        defer: Callable[[Delivery, Deferred, float], None],
        now: Callable[[], float],
    ) -> None:
        self._process = process
        self._timeout = timeout_seconds
        self._cancel_grace = cancel_grace_seconds
        self._policy = policy
        self._gathering = gathering
        self._slots = slots
        self._judge = judge
        self._defer = defer
        self._now = now
        # Both are in the order of their deadlines, since all have one timeout.
        self._running: dict[Run, None] = {}
        self._cancelled: dict[Run, float] = {}
        self._stuck: set[Run] = set()
        self._stepping = False
        self._suspending = False
        """Whether jobs suspended lately: then each gets its task at once."""
        self._finished: list[Settlement] = []
        self._durations: list[float] = []

    def start_ready(self) -> None:
        """Start what waits, as far as slots are free."""
        if self._stepping or not (self._slots.open and self._slots.free):
            return
        ready = min(self._slots.free, self._gathering.ready())
        if ready:
            self._stepping = True
            runs = [Run() for _ in range(ready if self._suspending else 1)]
            loop = asyncio.get_running_loop()
            for run in runs:
                run.task = loop.create_task(self._work(run))
            loop.call_soon(self._look_round, runs)

    def sweep(self, now: float) -> None:
        """Cancel what ran too long, and abandon what ignored its cancellation."""
        while (run := next(iter(self._running), None)) and run.started + self._timeout <= now:
            self._cancel(run, Cause.TIMEOUT)
        while (run := next(iter(self._cancelled), None)) and (
            self._cancelled[run] + self._cancel_grace <= now
        ):
            self._abandon(run)

    def cancel(self, cause: Cause, which: Callable[[Run], bool] = lambda _: True) -> None:
        """Cancel what runs."""
        for run in list(self._running):
            if which(run):
                self._cancel(run, cause)

    def abandon_rest(self) -> None:
        """Give verdicts for what could not be cancelled."""
        for run in list(self._cancelled):
            self._abandon(run)

    async def _work(self, run: Run) -> None:
        slots, take, process, now = self._slots, self._gathering.take, self._process, self._now
        work = take() if slots.open and slots.free else None
        if work is None:
            run.over = True
            return
        slots.take()
        clean, task = copy_context(), asyncio.current_task()
        assert task is not None
        started = now()
        give_way = started + LONGEST_STRETCH_SECONDS
        while work is not None:
            run.work, run.started = work, started
            if self._judge.debug:
                self._judge.started(run.executions)
            outcome, error = None, None
            try:
                outcome = await process(work)
            except BaseException as raised:  # noqa: BLE001 - whatever is raised is a verdict
                error = raised
            ended = now()
            if type(outcome) is Done and not run.suspended and not isinstance(work, list):
                self._finished.append(Settlement(work.delivery, outcome))
                self._durations.append(ended - started)
            elif not run.over:
                self._judge_work(run, outcome, error, ended - started)
            started = ended
            # A task that is marked in any way is not for the next job.
            alone = run.suspended or task.cancelling() or copy_context() != clean
            work = None if alone or ended >= give_way or not slots.open else take()
        self._leave(run)

    def _look_round(self, runs: Sequence[Run]) -> None:
        """Called right after the first steps of new tasks: what has not ended has suspended."""
        self._stepping = False
        self._flush()
        suspended = [run for run in runs if not run.over]
        for run in suspended:
            run.suspended = True
            self._running[run] = None
        self._suspending = bool(suspended)
        self.start_ready()

    def _leave(self, run: Run) -> None:
        self._flush()
        self._stuck.discard(run)
        self._end(run)

    def _flush(self) -> None:
        if self._finished:
            self._judge.finished(self._finished, self._durations)
            self._finished, self._durations = [], []

    def _end(self, run: Run) -> None:
        if not run.over:
            run.over = True
            self._running.pop(run, None)
            self._cancelled.pop(run, None)
            self._slots.release()

    def _judge_work(
        self, run: Run, outcome: Any, error: BaseException | None, seconds: float
    ) -> None:
        executions, batch = run.executions, isinstance(run.work, list)
        if error is None and batch:
            error = mismatch(outcome, executions)
        if error is not None:
            outcome = [self._meaning(run, error, each.delivery) for each in executions]
        outcomes: Sequence[Any] = outcome if batch or error is not None else (outcome,)
        for execution, each in zip(executions, outcomes, strict=True):
            if type(each) is Deferred and asyncio.isfuture(each.verdict):
                self._defer(execution.delivery, each, seconds)
            else:
                self._judge.executed(execution.delivery, each, self._policy, seconds, error)

    def _cancel(self, run: Run, cause: Cause) -> None:
        del self._running[run]
        self._cancelled[run] = self._now()
        run.cancel(cause)

    def _abandon(self, run: Run) -> None:
        self._stuck.add(run)  # keeps the task from being collected while it runs
        for execution in run.executions:
            self._judge.abandoned(execution.delivery)
        self._judge_work(run, None, asyncio.CancelledError(), self._now() - run.started)
        self._end(run)

    def _meaning(self, run: Run, error: BaseException, delivery: Delivery) -> Verdict:
        if isinstance(error, asyncio.CancelledError):
            if run.cause is Cause.TIMEOUT:
                error = TimeoutError(f"job took longer than {self._timeout:g} s")
            elif run.cause is not None:
                return HandBack()
        return verdict_for(error, delivery.attempt, self._policy)
