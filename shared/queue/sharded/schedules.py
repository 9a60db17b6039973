"""Periodic jobs of a sharded queue."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from msgspec.structs import replace

from shared.jobs import Job
from shared.queue.schedules import Schedule, ScheduleState, ScheduleStore
from shared.queue.sharded.names import shard_of


class ShardedScheduleStore:
    """Keeps each schedule in one part: that of its jobs' lane or deduplication key, else of its
    name. So a firing and its job are one step, as on one part."""

    def __init__(self, parts: Sequence[ScheduleStore]) -> None:
        self._parts = parts

    async def announce(self, schedule: Schedule, next_due: float) -> float | None:
        """See ScheduleStore.announce."""
        return await self._part(schedule.name, schedule.job).announce(schedule, next_due)

    async def fire(self, name: str, due: float, job: Job) -> bool:
        """See ScheduleStore.fire."""
        return await self._part(name, job).fire(name, due, job)

    async def schedules(self) -> Sequence[ScheduleState]:
        """See ScheduleStore.schedules; of one that moved, what was announced for the latest."""
        found = await asyncio.gather(*(part.schedules() for part in self._parts))
        states = sorted((each for part in found for each in part), key=lambda s: s.next_due or 0.0)
        return [state for _, state in sorted({each.name: each for each in states}.items())]

    async def forget(self, name: str) -> bool:
        """See ScheduleStore.forget."""
        return any(await asyncio.gather(*(part.forget(name) for part in self._parts)))

    async def close(self) -> None:
        """See ScheduleStore.close."""
        await asyncio.gather(*(part.close() for part in self._parts))

    def _part(self, name: str, job: Job) -> ScheduleStore:
        return self._parts[shard_of(replace(job, key=name), len(self._parts))]
