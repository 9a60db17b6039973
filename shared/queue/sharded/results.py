"""Progress and results of jobs of a sharded queue."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from shared.jobs import Delivery
from shared.queue.port import JobOutcome, JobResults
from shared.queue.sharded.part import unmarked


class ShardedJobResults:
    """Reports to the part that handed a job out; whoever asks, asks all parts.

    A key does not tell its part: a job lies where its lane or deduplication key belongs.
    """

    def __init__(self, parts: Sequence[JobResults]) -> None:
        self._parts = parts

    async def report(self, delivery: Delivery, progress: Any) -> None:
        """See JobResults.report."""
        number, token = unmarked(delivery.token)
        await self._parts[number].report(replace(delivery, token=token), progress)

    async def outcome(self, key: str) -> JobOutcome | None:
        """See JobResults.outcome."""
        found = await asyncio.gather(*(part.outcome(key) for part in self._parts))
        return next((each for each in found if each is not None), None)

    async def wait(self, key: str, timeout: float) -> JobOutcome | None:
        """See JobResults.wait."""
        waiting = [asyncio.create_task(part.wait(key, timeout)) for part in self._parts]
        try:
            for first in asyncio.as_completed(waiting):
                outcome = await first
                if outcome is not None and outcome.state != "running":
                    return outcome
            return await self.outcome(key)
        finally:
            for each in waiting:
                each.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    async def close(self) -> None:
        """See JobResults.close."""
        await asyncio.gather(*(part.close() for part in self._parts))
