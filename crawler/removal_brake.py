"""A brake on mass deletion: an outage must not empty the index."""

from __future__ import annotations

import msgspec

from crawler.frontier.port import Frontier, Removals
from shared.clock import Clock
from shared.observability.logs import get_logger

log = get_logger(__name__)

COUNT_SECONDS = 5.0
"""How old a count may be; own removals are added at once."""

WARN_SECONDS = 60.0
"""Between two warnings about one pack; the metric counts every page."""


class BrakeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """When removing stops."""

    share: float = 0.2
    """Of a pack's documents, removed within the window."""
    minimum: int = 20
    """So many may always be removed within the window."""
    window_seconds: float = 3600.0


class RemovalBrake:
    """Counts a pack's removals, those of other workers included, and says when it is enough."""

    def __init__(self, frontier: Frontier, settings: BrakeSettings, clock: Clock) -> None:
        self._frontier = frontier
        self._settings = settings
        self._clock = clock
        self._counts: dict[str, tuple[Removals, float]] = {}
        self._warned_at: dict[str, float] = {}

    async def lets_through(self, pack: str) -> bool:
        """Tell whether one more document may be removed now, and count it when it may."""
        count = await self._count(pack)
        before = count.live + count.removed
        limit = max(self._settings.minimum, self._settings.share * before)
        if count.removed + 1 > limit:
            self._warn(pack, count.removed, before)
            return False
        _, counted_at = self._counts[pack]
        self._counts[pack] = (Removals(count.live - 1, count.removed + 1), counted_at)
        return True

    def _warn(self, pack: str, removed: int, documents: int) -> None:
        """Say it once in a while: a site that vanishes would fill the log."""
        now = self._clock.monotonic()
        if now - self._warned_at.get(pack, float("-inf")) >= WARN_SECONDS:
            self._warned_at[pack] = now
            log.warning("removals_held", pack=pack, removed=removed, documents=documents)

    async def _count(self, pack: str) -> Removals:
        now = self._clock.monotonic()
        count, counted_at = self._counts.get(pack, (None, 0.0))
        if count is None or now - counted_at > COUNT_SECONDS:
            count = await self._frontier.removals(pack, self._settings.window_seconds)
            self._counts[pack] = (count, now)
        return count
