"""Proof that a process's event loop moves, kept in the shared metrics table."""

from __future__ import annotations

import asyncio
import time

from shared.observability.metrics import Counter, MetricsTable

BEAT_SECONDS = 1.0
STUCK_SECONDS = 15.0
"""A loop that has not moved for so long is not alive."""


class ProcessMetrics:
    """Heartbeats, restarts, and the number of processes."""

    def __init__(self, table: MetricsTable) -> None:
        self._table = table
        gauge = table.gauge(
            "worker_loop_age_seconds",
            "Seconds since the slowest process's event loop last moved.",
            fold="age",
        )
        self.beat = gauge.cell()
        self.restarts: Counter = table.counter(
            "worker_process_restarts_total",
            "Processes that ended by themselves, and were replaced.",
        )

    def stuck(self, now: float) -> list[int]:
        """Return the processes whose loop has not moved for too long."""
        beats = self._table.values(self.beat.at)
        return [i for i, beat in enumerate(beats) if beat and now - beat > STUCK_SECONDS]

    async def run(self) -> None:
        """Beat until cancelled."""
        while True:
            self.beat.set(time.monotonic())
            await asyncio.sleep(BEAT_SECONDS)
