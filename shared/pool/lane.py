"""The jobs of one type in a pool: waiting for a slot, running, and deferred."""

from __future__ import annotations

import msgspec

from shared.clock import Clock
from shared.jobs import Delivery
from shared.pool.calling import Calling
from shared.pool.deferrals import Deferrals
from shared.pool.gathering import Gathering
from shared.pool.judge import Judge
from shared.pool.ledger import Ledger
from shared.pool.processor import AnyProcessor, Execution
from shared.pool.retry_policy import said_by, storable
from shared.pool.run import Cause
from shared.pool.runner import Runner
from shared.pool.settings import PoolSettings
from shared.pool.slots import Slots
from shared.verdicts import DeadLetter, HandBack


class Lane:
    """One processor of a pool, and the deliveries that are on their way through it."""

    def __init__(
        self,
        processor: AnyProcessor,
        calling: Calling,
        settings: PoolSettings,
        slots: Slots,
        ledger: Ledger,
        judge: Judge,
        clock: Clock,
    ) -> None:
        timeout, policy, grace = (
            processor.timeout_seconds, processor.retry, settings.cancel_grace_seconds,
        )  # fmt: skip
        settle_seconds = grace + settings.settle_seconds
        self.lease_span = calling.linger_seconds + timeout + settle_seconds
        self._deferrals = Deferrals(timeout, settle_seconds, policy, ledger, judge, clock)
        self.gathering = Gathering(calling.batch_size, calling.linger_seconds, self.start_ready)
        self._runner = Runner(
            calling.process, timeout, grace, policy, self.gathering, slots, judge,
            self._deferrals.add, clock.monotonic,
        )  # fmt: skip
        self._decode = msgspec.json.Decoder(processor.payload_type).decode
        self._ledger = ledger
        self._judge = judge

    def accept(self, delivery: Delivery, now: float) -> None:
        """Decode a claimed delivery and let it wait for a slot; dead-letter it when unreadable."""
        self._ledger.held[delivery.token] = now + self.lease_span
        try:
            payload = self._decode(delivery.job.payload)
        except Exception as error:  # noqa: BLE001 - a payload type may check itself, and fail
            reason = storable(f"invalid payload: {said_by(error)}")
            self._judge.unstarted(delivery, DeadLetter(reason))
            return
        self.gathering.add(Execution(payload, delivery))

    def start_ready(self) -> None:
        """Start what waits: jobs, full batches, and after the linger time whatever is there."""
        self._runner.start_ready()

    def sweep(self, now: float) -> None:
        """Cancel what ran too long, abandon what ignored its cancellation, end what is overdue."""
        self._runner.sweep(now)
        self._deferrals.sweep(now)

    def drop_lost(self) -> None:
        """Let go of everything whose lease is no longer held."""
        held = self._ledger.held
        self.gathering.keep(held)
        self._runner.cancel(
            Cause.LOST, lambda run: not any(e.delivery.token in held for e in run.executions)
        )
        self._deferrals.drop_lost()

    def hand_back_unstarted(self) -> None:
        """Give back what waits for a slot."""
        for execution in self.gathering.drain():
            self._judge.unstarted(execution.delivery, HandBack())

    def cancel_all(self) -> None:
        """Cancel everything that runs, because the pool stops."""
        self._runner.cancel(Cause.SHUTDOWN)

    def hand_back_rest(self) -> None:
        """Give back what could not be cancelled, and what is still deferred."""
        self._runner.abandon_rest()
        self._deferrals.hand_back()
