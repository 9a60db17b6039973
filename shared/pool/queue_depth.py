"""Asks a queue how much waits, again and again: the signal to scale on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from shared.errors import ConnectionLostError
from shared.observability.logs import get_logger
from shared.observability.metrics import MetricsTable
from shared.queue.port import QueueDepth

log = get_logger(__name__)

FORGET_AFTER = 3
"""Failed looks in a row that make the last figures worthless: the group shows the largest."""
STATES = ("inbox", "ready", "delayed", "leased", "dead")


class QueueMetrics:
    """Declares the gauges of the queues that a worker consumes; names are known before the fork."""

    def __init__(self, table: MetricsTable, queues: Sequence[str]) -> None:
        # All processes see the same queue: the group shows what one of them saw, not the sum.
        self._depth = table.gauge(
            "worker_queue_depth",
            "Jobs in the queue, by state.",
            {"queue": queues, "state": STATES},
            fold="max",
        )
        self._oldest = table.gauge(
            "worker_queue_oldest_ready_age_seconds",
            "Age of the oldest job that is ready; 0 when none is, or the broker cannot tell.",
            {"queue": queues},
            fold="max",
        )

    def show(self, queue: str, depth: QueueDepth) -> None:
        """Replace what is shown of a queue."""
        for state in STATES:
            self._depth.cell(queue, state).set(getattr(depth, state))
        self._oldest.cell(queue).set(depth.oldest_ready_age_seconds or 0.0)


class QueueDepthProbe:
    """A service that keeps the gauges of one queue fresh."""

    def __init__(
        self,
        queue: str,
        depth: Callable[[], Awaitable[QueueDepth]],
        metrics: QueueMetrics,
        *,
        every_seconds: float = 5.0,
    ) -> None:
        self._queue = queue
        self._depth = depth
        self._metrics = metrics
        self._every = every_seconds

    async def run(self, stop: asyncio.Event) -> None:
        """Ask until `stop` is set. A lost connection is tried again; the last figures stay for a
        short one, and are 0 after FORGET_AFTER.
        """
        failures = 0
        stopping = asyncio.ensure_future(stop.wait())
        while not stop.is_set():
            try:
                self._metrics.show(self._queue, await self._depth())
                failures = 0
            except ConnectionLostError as error:
                log.warning("queue_depth_unknown", queue=self._queue, error=str(error))
                failures += 1
                if failures == FORGET_AFTER:
                    self._metrics.show(self._queue, QueueDepth())
            await asyncio.wait({stopping}, timeout=self._every)
        await stopping
