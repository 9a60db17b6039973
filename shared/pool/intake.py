"""What is special about some deliveries: unknown job types, and suspects."""

from __future__ import annotations

import random
from collections import OrderedDict

from shared.jobs import Delivery
from shared.pool.ledger import Ledger
from shared.verdicts import DeadLetter, Snooze, Verdict

SUSPECT_CRASHES = 2
"""A job whose lease expired this often may have killed its workers, and runs alone."""


class UnknownTypes:
    """Patience with jobs that a newer version of the worker may know."""

    def __init__(self, patience_seconds: float, remembered: int = 100_000) -> None:
        self._patience = patience_seconds
        self._remembered = remembered
        self._first_seen: OrderedDict[str, float] = OrderedDict()

    def verdict(self, delivery: Delivery, now: float) -> Verdict:
        """Snooze until the patience since this job was first seen is over, then dead-letter.

        When too many jobs are remembered, new ones find no patience: none may loop for ever.
        """
        self._forget_gone(now)
        key = delivery.job.key or delivery.token
        if key not in self._first_seen and len(self._first_seen) >= self._remembered:
            return self._bury(delivery)
        left = self._first_seen.setdefault(key, now) + self._patience - now
        if left <= 0:
            del self._first_seen[key]
            return self._bury(delivery)
        return Snooze(after=min(left, max(0.05, self._patience / 20)))

    def _bury(self, delivery: Delivery) -> Verdict:
        return DeadLetter(f"unknown job type {delivery.job.type!r}")

    def _forget_gone(self, now: float) -> None:
        # A job not seen for twice its patience was taken by a worker that knows it.
        while self._first_seen:
            key, first = next(iter(self._first_seen.items()))
            if first + 2 * self._patience > now:
                return
            del self._first_seen[key]


class Quarantine:
    """Holds one suspect until nothing else runs here, so that a killer takes nobody with it."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._suspect: Delivery | None = None
        self._parked = False

    @property
    def occupied(self) -> bool:
        """Whether a suspect waits or runs; nothing may be claimed then."""
        if self._suspect is not None and self._suspect.token not in self._ledger.held:
            self._suspect = None
        return self._suspect is not None

    def admit(self, delivery: Delivery) -> Verdict | None:
        """Park a suspect that is held; return a snooze when there is one already."""
        if self.occupied:
            return Snooze(after=random.uniform(1.0, 2.0))
        self._suspect, self._parked = delivery, True
        return None

    def release(self) -> Delivery | None:
        """Return the parked suspect once it is the only job held; it is then let run."""
        if not (self._parked and self.occupied and len(self._ledger.held) == 1):
            return None
        self._parked = False
        return self._suspect

    def evict(self) -> Delivery | None:
        """Return the suspect if it is parked, to be handed back."""
        return self._suspect if self._parked and self.occupied else None
