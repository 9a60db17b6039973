"""Looks at the outbox now and then, for the gauges."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from shared.errors import WorkerSuiteError
from shared.observability.logs import get_logger
from sync.metrics import SyncMetrics
from sync.sources.port import OutboxDepth

_log = get_logger(__name__)


class OutboxWatch:
    """Keeps depth and lag as they were a few seconds ago at most."""

    def __init__(
        self,
        depth: Callable[[], Awaitable[OutboxDepth]],
        metrics: SyncMetrics,
        *,
        every_seconds: float = 5.0,
    ) -> None:
        self._depth = depth
        self._metrics = metrics
        self._every_seconds = every_seconds

    async def run(self, stop: asyncio.Event) -> None:
        """Look until `stop` is set; a look that fails leaves the figures as they are."""
        while not stop.is_set():
            try:
                seen = await self._depth()
            except WorkerSuiteError as error:
                _log.warning("outbox_not_seen", error=str(error))
            else:
                self._metrics.depth.set(seen.depth)
                self._metrics.lag.set(seen.oldest_age_seconds)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), self._every_seconds)
