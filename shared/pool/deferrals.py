"""Jobs whose processor is done and whose verdict follows from a commit group."""

from __future__ import annotations

import asyncio
from functools import partial

from shared.clock import Clock
from shared.jobs import Delivery
from shared.pool.judge import Judge
from shared.pool.ledger import Ledger
from shared.pool.retry_policy import RetryPolicy, verdict_for
from shared.verdicts import Deferred, HandBack, Verdict


class Deferrals:
    """Holds no slot, only leases, and each for at most one more timeout."""

    def __init__(
        self,
        timeout_seconds: float,
        settle_seconds: float,
        policy: RetryPolicy,
        ledger: Ledger,
        judge: Judge,
        clock: Clock,
    ) -> None:
        self._timeout = timeout_seconds
        self._settle_seconds = settle_seconds
        self._policy = policy
        self._ledger = ledger
        self._judge = judge
        self._clock = clock
        self._waiting: dict[str, tuple[Delivery, float]] = {}
        """In the order of their deadlines, since all have one timeout."""

    def add(self, delivery: Delivery, outcome: Deferred, seconds: float) -> None:
        """Wait for a verdict, unless the lease was lost; `seconds` is what the run took."""
        if delivery.token not in self._ledger.held:
            return
        self._judge.deferred(delivery, seconds)
        deadline = self._clock.monotonic() + self._timeout
        self._waiting[delivery.token] = delivery, deadline
        self._ledger.hold(delivery, deadline + self._settle_seconds)
        outcome.verdict.add_done_callback(partial(self._resolve, delivery))

    def sweep(self, now: float) -> None:
        """Time out what waited too long; a verdict that comes later is ignored."""
        while token := next(iter(self._waiting), None):
            delivery, deadline = self._waiting[token]
            if deadline > now:
                return
            del self._waiting[token]
            self._fail(
                delivery, TimeoutError(f"deferred verdict took longer than {self._timeout:g} s")
            )

    def drop_lost(self) -> None:
        """Let go of what is no longer held."""
        held = self._ledger.held
        for token in [token for token in self._waiting if token not in held]:
            del self._waiting[token]

    def hand_back(self) -> None:
        """Give back what still waits, because the pool stops."""
        for delivery, _ in self._waiting.values():
            self._judge.unstarted(delivery, HandBack())
        self._waiting.clear()

    def _resolve(self, delivery: Delivery, verdict: asyncio.Future[Verdict]) -> None:
        error = asyncio.CancelledError() if verdict.cancelled() else verdict.exception()
        if self._waiting.pop(delivery.token, None) is None:
            return
        if error is None:
            self._judge.executed(delivery, verdict.result(), self._policy, None, None)
        else:
            self._fail(delivery, error)

    def _fail(self, delivery: Delivery, error: BaseException) -> None:
        verdict = verdict_for(error, delivery.attempt, self._policy)
        self._judge.executed(delivery, verdict, self._policy, None, error)
