"""Which deliveries this process holds, and which verdicts are on their way back."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from shared.jobs import Delivery
from shared.verdicts import Settlement, Verdict


class Ledger:
    """A delivery is held from its claim to its verdict; only what is held can be settled."""

    def __init__(self, settled: Callable[[], None] = lambda: None) -> None:
        """`settled` is called whenever a verdict begins to wait."""
        self.held: dict[str, float] = {}
        """Token to the monotonic reading until which its lease is to be renewed. The lease
        keeper's thread copies it."""
        self._settled: list[Settlement] = []
        self._tell = settled

    def hold(self, delivery: Delivery, until: float) -> None:
        """Renew this delivery's lease until then; replaces an earlier time."""
        self.held[delivery.token] = until

    def settle(self, delivery: Delivery, verdict: Verdict) -> bool:
        """Queue a verdict; False, and nothing is queued, when the delivery is no longer held."""
        if self.held.pop(delivery.token, None) is None:
            return False
        self._settled.append(Settlement(delivery, verdict))
        self._tell()
        return True

    def settle_all(self, settlements: Sequence[Settlement]) -> int:
        """Queue many verdicts; return how many of their deliveries were held."""
        pop = self.held.pop
        kept = [each for each in settlements if pop(each.delivery.token, None) is not None]
        self._settled.extend(kept)
        self._tell()
        return len(kept)

    def lose(self, tokens: Collection[str]) -> int:
        """Forget deliveries whose lease another worker may have; return how many were held."""
        return sum(self.held.pop(token, None) is not None for token in tokens)

    def outgoing(self, limit: int) -> list[Settlement]:
        """Take up to `limit` verdicts, oldest first."""
        taken, self._settled = self._settled[:limit], self._settled[limit:]
        return taken

    @property
    def busy(self) -> bool:
        """Whether anything is held or unsent."""
        return bool(self.held or self._settled)

    @property
    def unsent(self) -> bool:
        """Whether verdicts wait to be sent."""
        return bool(self._settled)
