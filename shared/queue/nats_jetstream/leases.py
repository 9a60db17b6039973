"""What this consumer has handed out, shared with the thread that renews it."""

from __future__ import annotations

import msgspec

from shared.clock import Clock


class Lease(msgspec.Struct):
    """One delivery that is not settled."""

    first_seen_ms: int
    until: float
    """Reading of the monotonic clock until which nobody else can have it."""


class Leases:
    """Tokens and their leases. The keeper's thread only ever moves `until` on."""

    def __init__(self, clock: Clock) -> None:
        self.seconds = 0.0
        """As this worker renews it; the server keeps one that is as long or longer."""
        self._clock = clock
        self._held: dict[str, Lease] = {}
        self._pruned_at = 0.0

    def add(self, token: str, lease: Lease) -> None:
        """Note a hand-out."""
        self._held[token] = lease

    def get(self, token: str) -> Lease | None:
        """Return a lease that was neither settled nor forgotten."""
        return self._held.get(token)

    def end(self, token: str) -> None:
        """Note a settlement."""
        self._held.pop(token, None)

    def holds(self, token: str) -> bool:
        """Whether a lease surely lasts."""
        lease = self._held.get(token)
        return lease is not None and lease.until > self._clock.monotonic()

    def prune(self) -> None:
        """Forget, now and then, what was lost a lease ago and will hardly be settled any more."""
        now = self._clock.monotonic()
        if now - self._pruned_at < self.seconds:
            return
        self._pruned_at = now
        ended = [t for t, lease in self._held.items() if lease.until + 10 * self.seconds < now]
        for token in ended:
            del self._held[token]
