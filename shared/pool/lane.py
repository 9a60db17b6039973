"""The jobs of one type in a pool: gathering, running, cancelled, and deferred."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from shared.clock import Clock
from shared.jobs import Delivery
from shared.pool.deferrals import Deferrals
from shared.pool.gathering import Gathering
from shared.pool.judge import Judge
from shared.pool.ledger import Ledger
from shared.pool.processor import BatchProcessor, Execution, Processor
from shared.pool.retry_policy import verdict_for
from shared.pool.run import Cause, Run, process_of
from shared.pool.settings import PoolSettings
from shared.pool.slots import Slots
from shared.verdicts import DeadLetter, Deferred, HandBack, Verdict


class Lane:
    """Runs one processor in the slots that all lanes of a pool share."""

    def __init__(
        self,
        processor: Processor[Any] | BatchProcessor[Any],
        settings: PoolSettings,
        slots: Slots,
        ledger: Ledger,
        judge: Judge,
        clock: Clock,
    ) -> None:
        size, linger, self._process = process_of(processor)
        self.gathering = Gathering(size, linger, self.start_ready)
        self._policy = processor.retry
        self._timeout = processor.timeout_seconds
        self._cancel_grace = settings.cancel_grace_seconds
        settle_seconds = settings.cancel_grace_seconds + settings.settle_seconds
        self.lease_span = linger + self._timeout + settle_seconds
        self._deferrals = Deferrals(
            self._timeout, settle_seconds, self._policy, ledger, judge, clock
        )
        self._decode = msgspec.json.Decoder(processor.payload_type).decode
        self._slots = slots
        self._ledger = ledger
        self._judge = judge
        self._now: Callable[[], float] = clock.monotonic
        # Both are in the order of their deadlines, since a lane has one timeout.
        self._running: dict[Run, None] = {}
        self._cancelled: dict[Run, float] = {}
        self._stuck: set[Run] = set()

    def accept(self, delivery: Delivery) -> None:
        """Decode a claimed delivery and let it wait for a slot; dead-letter it when unreadable."""
        self._ledger.hold(delivery, self._now() + self.lease_span)
        try:
            payload = self._decode(delivery.job.payload)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            self._judge.unstarted(delivery, DeadLetter(f"invalid payload: {error}"))
            return
        self.gathering.add(Execution(payload, delivery))

    def start_ready(self) -> None:
        """Start what waits: full batches, and after the linger time whatever is there."""
        while self._slots.free and (batch := self.gathering.batch()):
            self._start(batch)

    def sweep(self, now: float) -> None:
        """Cancel what ran too long, abandon what ignored its cancellation, end what is overdue."""
        while (run := next(iter(self._running), None)) and run.started + self._timeout <= now:
            self._cancel(run, Cause.TIMEOUT)
        while (run := next(iter(self._cancelled), None)) and (
            self._cancelled[run] + self._cancel_grace <= now
        ):
            self._abandon(run)
        self._deferrals.sweep(now)

    def drop_lost(self) -> None:
        """Let go of everything whose lease is no longer held."""
        held = self._ledger.held
        self.gathering.keep(held)
        for run in list(self._running):
            if not any(e.delivery.token in held for e in run.executions):
                self._cancel(run, Cause.LOST)
        self._deferrals.drop_lost()

    def hand_back_unstarted(self) -> None:
        """Give back what waits for a slot."""
        for execution in self.gathering.drain():
            self._judge.unstarted(execution.delivery, HandBack())

    def cancel_all(self) -> None:
        """Cancel everything that runs, because the pool stops."""
        for run in list(self._running):
            self._cancel(run, Cause.SHUTDOWN)

    def hand_back_rest(self) -> None:
        """Give back what could not be cancelled, and what is still deferred."""
        for run in list(self._cancelled):
            self._abandon(run)
        self._deferrals.hand_back()

    def _start(self, executions: Sequence[Execution[Any]]) -> None:
        run = Run(executions, self._now())
        self._slots.take()
        self._running[run] = None
        run.task = asyncio.get_running_loop().create_task(self._work(run))

    async def _work(self, run: Run) -> None:
        run.entered = True
        executions = run.executions
        self._judge.started(executions)
        error: BaseException | None = None
        try:
            outcomes = await self._process(executions)
        except BaseException as raised:  # noqa: BLE001 - whatever a processor raises is a verdict
            error = raised
            outcomes = [self._meaning(run, raised, e.delivery) for e in executions]
        if not run.over:
            self._end(run, outcomes, error)
        self._stuck.discard(run)

    def _end(self, run: Run, outcomes: Sequence[Any], error: BaseException | None = None) -> None:
        run.over = True
        self._running.pop(run, None)
        self._cancelled.pop(run, None)
        seconds = self._now() - run.started
        for execution, outcome in zip(run.executions, outcomes, strict=True):
            if type(outcome) is Deferred:
                self._deferrals.add(execution.delivery, outcome, seconds)
            else:
                self._judge.executed(execution.delivery, outcome, self._policy, seconds, error)
        self._slots.release()

    def _cancel(self, run: Run, cause: Cause) -> None:
        del self._running[run]
        self._cancelled[run] = self._now()
        run.cancel(cause)
        if not run.entered:  # the task ends without ever reaching its first line
            self._end(run, [HandBack() for _ in run.executions])

    def _abandon(self, run: Run) -> None:
        self._stuck.add(run)  # keeps the task from being collected while it runs
        for execution in run.executions:
            self._judge.abandoned(execution.delivery)
        error = asyncio.CancelledError()
        self._end(run, [self._meaning(run, error, e.delivery) for e in run.executions])

    def _meaning(self, run: Run, error: BaseException, delivery: Delivery) -> Verdict:
        if isinstance(error, asyncio.CancelledError):
            if run.cause is Cause.TIMEOUT:
                error = TimeoutError(f"job took longer than {self._timeout:g} s")
            elif run.cause is not None:
                return HandBack()
        return verdict_for(error, delivery.attempt, self._policy)
