"""Administration of a sharded queue: every part is asked, and the answers are put together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from shared.queue.administration import DeadLetterRecord, JobRecord, QueueAdmin, State
from shared.queue.port import Capabilities, QueueDepth
from shared.queue.sharded.queue import total_of

T = TypeVar("T")


class ShardedQueueAdmin:
    """What a person does to a queue, on all of its parts."""

    def __init__(self, parts: Sequence[QueueAdmin]) -> None:
        self._parts = parts

    @property
    def capabilities(self) -> Capabilities:
        """See QueueAdmin.capabilities."""
        return self._parts[0].capabilities

    async def depth(self) -> QueueDepth:
        """See QueueAdmin.depth."""
        return total_of(await self._each(lambda part: part.depth()))

    async def jobs(self, state: State, *, limit: int = 100, offset: int = 0) -> Sequence[JobRecord]:
        """See QueueAdmin.jobs; the parts take turns, since each has an order of its own."""
        most = limit + offset
        pages = await self._each(lambda part: part.jobs(state, limit=most))
        longest = max(map(len, pages))
        turns = [page[at] for at in range(longest) for page in pages if at < len(page)]
        return turns[offset:most]

    async def job(self, key: str) -> JobRecord | None:
        """See QueueAdmin.job."""
        found = await self._each(lambda part: part.job(key))
        return next((each for each in found if each is not None), None)

    async def dead_letters(
        self, *, limit: int = 100, offset: int = 0
    ) -> Sequence[DeadLetterRecord]:
        """See QueueAdmin.dead_letters."""
        most = limit + offset
        pages = await self._each(lambda part: part.dead_letters(limit=most))
        everything = [each for page in pages for each in page]
        return sorted(everything, key=lambda each: each.died_at)[offset:most]

    async def replay(self, keys: Sequence[str]) -> int:
        """See QueueAdmin.replay."""
        return sum(await self._each(lambda part: part.replay(keys)))

    async def purge(self, keys: Sequence[str]) -> int:
        """See QueueAdmin.purge."""
        return sum(await self._each(lambda part: part.purge(keys)))

    async def cancel(self, keys: Sequence[str]) -> int:
        """See QueueAdmin.cancel."""
        return sum(await self._each(lambda part: part.cancel(keys)))

    async def pause(self, job_type: str | None = None) -> None:
        """See QueueAdmin.pause."""
        await self._each(lambda part: part.pause(job_type))

    async def resume(self, job_type: str | None = None) -> None:
        """See QueueAdmin.resume."""
        await self._each(lambda part: part.resume(job_type))

    async def paused(self) -> tuple[bool, Sequence[str]]:
        """See QueueAdmin.paused; a pause that did not reach every part is shown."""
        found = await self._each(lambda part: part.paused())
        types = {job_type for _, types in found for job_type in types}
        return any(whole for whole, _ in found), sorted(types)

    async def close(self) -> None:
        """See QueueAdmin.close."""
        await self._each(lambda part: part.close())

    async def _each(self, ask: Callable[[QueueAdmin], Awaitable[T]]) -> list[T]:
        return list(await asyncio.gather(*(ask(part) for part in self._parts)))
