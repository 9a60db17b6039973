"""How many jobs one exchange asks for: bounded in number, and in bytes as far as can be known."""

from __future__ import annotations

from collections.abc import Sequence

from shared.jobs import Delivery

MAX_BATCH = 1000
"""Most deliveries, and most verdicts, in one exchange."""
MAX_CLAIM_BYTES = 32 * 2**20
"""About the most payload in one answer, when the next jobs are as large as the last."""
UNSEEN_BYTES = 256 * 2**10
"""What a payload is taken for before one was seen."""
SMALLEST_HALF = 20
"""Slots from which on half of them is worth a call of its own."""
_WEIGHED = 16
"""Every so many-th delivery is weighed."""


class ClaimSize:
    """Learns how large jobs are from those that came last."""

    def __init__(self, slots: int, slot_holds: int) -> None:
        # One half is claimed while the other runs; small halves cost more calls than they save.
        half = (slots + 1) // 2 if slots >= 2 * SMALLEST_HALF else slots
        self._most = min(MAX_BATCH, half * slot_holds)
        self._job_bytes = float(UNSEEN_BYTES)

    def within(self, capacity: int) -> int:
        """Return how many to ask for when there is room for so many."""
        return min(capacity, self._most, max(1, int(MAX_CLAIM_BYTES / self._job_bytes)))

    def learn(self, deliveries: Sequence[Delivery]) -> None:
        """Note how large some of the deliveries are: a rise counts at once, a fall by halves."""
        some = deliveries[::_WEIGHED]
        if some:
            mean = sum(len(each.job.payload) for each in some) / len(some)
            self._job_bytes = max(mean, self._job_bytes / 2, 1.0)
