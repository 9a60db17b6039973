"""What is special about some deliveries: unknown job types, and suspects."""

from __future__ import annotations

import random

from shared.jobs import Delivery
from shared.pool.ledger import Ledger
from shared.verdicts import DeadLetter, Snooze, Verdict

SUSPECT_CRASHES = 2
"""A job whose lease expired this often may have killed its workers, and runs alone."""
LEAST_SNOOZE_SECONDS = 0.05


def unknown_type(delivery: Delivery, patience_seconds: float) -> Verdict:
    """Decide on a job no processor is there for: a newer version of the worker may know it.

    Snooze until it has been in the queue for the whole patience, then dead-letter.
    """
    left = patience_seconds - delivery.age_seconds
    if left <= 0:
        return DeadLetter(f"unknown job type {delivery.job.type!r}")
    return Snooze(after=min(left, max(LEAST_SNOOZE_SECONDS, patience_seconds / 20)))


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
