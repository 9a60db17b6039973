"""Administration of a queue on RabbitMQ: depth, and the dead letters."""

from __future__ import annotations

from collections.abc import Sequence

from shared.clock import Clock, SystemClock
from shared.queue.administration import DeadLetterRecord, JobRecord, State
from shared.queue.message import decode_message, forgiving
from shared.queue.port import InboxDecoder, QueueDepth, QueueSettings, require
from shared.queue.rabbitmq.capabilities import CAPABILITIES
from shared.queue.rabbitmq.dead_letters import dead_letters
from shared.queue.rabbitmq.link import Link
from shared.queue.rabbitmq.session import Session
from shared.queue.rabbitmq.settling import Copy
from shared.queue.rabbitmq.stored_job import revived
from shared.queue.rabbitmq.topology import names_of


class RabbitQueueAdmin:
    """See QueueAdmin. Two at a time wait for each other where they read dead letters."""

    capabilities = CAPABILITIES

    def __init__(
        self,
        settings: QueueSettings,
        url: str,
        *,
        decoder: InboxDecoder = decode_message,
        clock: Clock | None = None,
    ) -> None:
        self._names = names_of(settings.name)
        self._decoder = forgiving(decoder)
        self._clock = clock or SystemClock()
        self._link = Link(url, self._names, settings.lease_seconds)
        self._listed: Sequence[DeadLetterRecord] = ()

    async def depth(self) -> QueueDepth:
        """See QueueAdmin.depth; `leased` is not known to who holds nothing, and 0."""
        return await self._link.run(self._depth)

    async def jobs(self, state: State, *, limit: int = 100, offset: int = 0) -> Sequence[JobRecord]:
        """See QueueAdmin.jobs."""
        require(CAPABILITIES, "listing")
        return ()

    async def job(self, key: str) -> JobRecord | None:
        """See QueueAdmin.job."""
        require(CAPABILITIES, "listing")
        return None

    async def dead_letters(
        self, *, limit: int = 100, offset: int = 0
    ) -> Sequence[DeadLetterRecord]:
        """See QueueAdmin.dead_letters. Reads them all; a later page is one of the same reading."""

        async def read(session: Session) -> Sequence[DeadLetterRecord]:
            async with dead_letters(session, self._decoder) as letters:
                return letters.records

        if not offset or not self._listed:
            self._listed = await self._link.run(read)
        page = self._listed[offset : offset + limit]
        if len(page) < limit:
            self._listed = ()  # there is no later page
        return page

    async def replay(self, keys: Sequence[str]) -> int:
        """See QueueAdmin.replay. A replay that is cut off may leave a letter that runs again."""
        now = self._clock.wall()

        async def replayed(session: Session) -> int:
            async with dead_letters(session, self._decoder) as letters:
                chosen = letters.with_keys(keys)
                jobs = [revived(each, now) for each in chosen]
                await session.store([Copy(self._names.work, job) for job in jobs])
                await letters.remove(chosen)
                return len(chosen)

        return await self._link.run(replayed)

    async def purge(self, keys: Sequence[str]) -> int:
        """See QueueAdmin.purge."""

        async def purged(session: Session) -> int:
            async with dead_letters(session, self._decoder) as letters:
                chosen = letters.with_keys(keys)
                await letters.remove(chosen)
                return len(chosen)

        return await self._link.run(purged)

    async def cancel(self, keys: Sequence[str]) -> int:
        """See QueueAdmin.cancel."""
        require(CAPABILITIES, "cancel")
        return 0

    async def pause(self, job_type: str | None = None) -> None:
        """See QueueAdmin.pause."""
        require(CAPABILITIES, "pause" if job_type is None else "pause_type")

    async def resume(self, job_type: str | None = None) -> None:
        """See QueueAdmin.resume."""
        require(CAPABILITIES, "pause" if job_type is None else "pause_type")

    async def paused(self) -> tuple[bool, Sequence[str]]:
        """See QueueAdmin.paused."""
        require(CAPABILITIES, "pause")
        return False, ()

    async def close(self) -> None:
        """See QueueAdmin.close."""
        await self._link.close()

    async def _depth(self, session: Session) -> QueueDepth:
        names = self._names
        return QueueDepth(
            ready=await session.count(names.work) + await session.count(names.suspects),
            delayed=await session.delayed(),
            dead=await session.count(names.dead),
        )
