"""The jobs of one type in a pool: gathering, running, cancelled, and deferred."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import msgspec

from shared.clock import Clock
from shared.jobs import Delivery
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
        self.size, self._linger, self._process = process_of(processor)
        self.gathering: deque[Execution[Any]] = deque()
        self._policy = processor.retry
        self._timeout = processor.timeout_seconds
        self._cancel_grace = settings.cancel_grace_seconds
        self.lease_span = (
            self._linger + self._timeout + self._cancel_grace + settings.settle_seconds
        )
        self._decode = msgspec.json.Decoder(processor.payload_type).decode
        self._slots = slots
        self._ledger = ledger
        self._judge = judge
        self._now: Callable[[], float] = clock.monotonic
        # All three are in the order of their deadlines, since a lane has one timeout.
        self._running: dict[Run, None] = {}
        self._cancelled: dict[Run, float] = {}
        self._deferred: dict[str, tuple[Delivery, float]] = {}
        self._stuck: set[Run] = set()
        self._linger_over = False
        self._lingering: asyncio.TimerHandle | None = None

    def accept(self, delivery: Delivery) -> None:
        """Decode a claimed delivery and let it wait for a slot; dead-letter it when unreadable."""
        self._ledger.hold(delivery, self._now() + self.lease_span)
        try:
            payload = self._decode(delivery.job.payload)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            self._judge.unstarted(delivery, DeadLetter(f"invalid payload: {error}"))
            return
        self.gathering.append(Execution(payload, delivery))

    def start_ready(self) -> None:
        """Start what waits: full batches, and after the linger time whatever is there."""
        size = self.size
        while self.gathering and self._slots.free:
            if len(self.gathering) < size and self._linger and not self._linger_over:
                if self._lingering is None:
                    loop = asyncio.get_running_loop()
                    self._lingering = loop.call_later(self._linger, self._end_linger)
                return
            batch = [self.gathering.popleft() for _ in range(min(size, len(self.gathering)))]
            self._stop_lingering()
            self._start(batch)

    def sweep(self, now: float) -> None:
        """Cancel what ran too long, abandon what ignored its cancellation, end what is overdue."""
        while (run := next(iter(self._running), None)) and run.started + self._timeout <= now:
            self._cancel(run, Cause.TIMEOUT)
        while (run := next(iter(self._cancelled), None)) and (
            self._cancelled[run] + self._cancel_grace <= now
        ):
            self._abandon(run)
        while token := next(iter(self._deferred), None):
            delivery, deadline = self._deferred[token]
            if deadline > now:
                break
            del self._deferred[token]
            self._give(delivery, self._timed_out(delivery, "deferred verdict"))

    def drop_lost(self) -> None:
        """Let go of everything whose lease is no longer held."""
        held = self._ledger.held
        self.gathering = deque(e for e in self.gathering if e.delivery.token in held)
        for run in list(self._running):
            if not any(e.delivery.token in held for e in run.executions):
                self._cancel(run, Cause.LOST)
        for token in [token for token in self._deferred if token not in held]:
            del self._deferred[token]

    def hand_back_unstarted(self) -> None:
        """Give back what waits for a slot."""
        self._stop_lingering()
        while self.gathering:
            self._judge.unstarted(self.gathering.popleft().delivery, HandBack())

    def cancel_all(self) -> None:
        """Cancel everything that runs, because the pool stops."""
        for run in list(self._running):
            self._cancel(run, Cause.SHUTDOWN)

    def hand_back_rest(self) -> None:
        """Give back what could not be cancelled, and what is still deferred."""
        for run in list(self._cancelled):
            self._abandon(run)
        for delivery, _ in self._deferred.values():
            self._judge.unstarted(delivery, HandBack())
        self._deferred.clear()

    def _end_linger(self) -> None:
        self._lingering = None
        self._linger_over = True
        self.start_ready()

    def _stop_lingering(self) -> None:
        self._linger_over = False
        if self._lingering is not None:
            self._lingering.cancel()
            self._lingering = None

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
                self._defer(execution.delivery, outcome, seconds)
            else:
                self._give(execution.delivery, outcome, seconds, error)
        self._slots.release()

    def _give(
        self,
        delivery: Delivery,
        verdict: Verdict,
        seconds: float | None = None,
        error: BaseException | None = None,
    ) -> None:
        self._judge.executed(delivery, verdict, self._policy, seconds, error)

    def _defer(self, delivery: Delivery, outcome: Deferred, seconds: float) -> None:
        if delivery.token not in self._ledger.held:
            return
        self._judge.deferred(delivery, seconds)
        deadline = self._now() + self._timeout
        self._deferred[delivery.token] = delivery, deadline
        self._ledger.hold(delivery, deadline + self.lease_span - self._timeout)
        outcome.verdict.add_done_callback(partial(self._resolve, delivery))

    def _resolve(self, delivery: Delivery, verdict: asyncio.Future[Verdict]) -> None:
        error = asyncio.CancelledError() if verdict.cancelled() else verdict.exception()
        if self._deferred.pop(delivery.token, None) is None:
            return
        if error is None:
            self._give(delivery, verdict.result())
        else:
            self._give(delivery, verdict_for(error, delivery.attempt, self._policy), None, error)

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
                return self._timed_out(delivery, "job")
            if run.cause is not None:
                return HandBack()
        return verdict_for(error, delivery.attempt, self._policy)

    def _timed_out(self, delivery: Delivery, what: str) -> Verdict:
        error = TimeoutError(f"{what} took longer than {self._timeout:g} s")
        return verdict_for(error, delivery.attempt, self._policy)
