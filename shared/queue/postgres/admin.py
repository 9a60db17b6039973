"""Administration of a queue in Postgres: list, replay, purge, cancel, pause."""

from __future__ import annotations

from collections.abc import Sequence

from shared.queue.administration import DeadLetterRecord, JobRecord, State
from shared.queue.message import decode_message, forgiving
from shared.queue.port import InboxDecoder, QueueDepth, QueueSettings
from shared.queue.postgres.capabilities import CAPABILITIES
from shared.queue.postgres.depth import depth_of
from shared.queue.postgres.listing import Listing
from shared.queue.postgres.session import Session
from shared.queue.postgres.sql import statement

MOST_PER_CALL = 1000

_REPLAY = statement("replay")
_PURGE = statement("purge")
_CANCEL = statement("cancel")
_PAUSE = statement("pause")
_RESUME = statement("resume")
_PAUSED = statement("paused")


class PostgresQueueAdmin:
    """What a person does to a queue."""

    capabilities = CAPABILITIES

    def __init__(
        self, settings: QueueSettings, url: str, *, decoder: InboxDecoder = decode_message
    ) -> None:
        self._name = settings.name
        self._session = Session(url)
        self._listing = Listing(self._session, settings.name, forgiving(decoder))

    async def depth(self) -> QueueDepth:
        """See QueueAdmin.depth."""
        return await depth_of(self._session, self._name)

    async def jobs(self, state: State, *, limit: int = 100, offset: int = 0) -> Sequence[JobRecord]:
        """See QueueAdmin.jobs."""
        return await self._listing.jobs(state, limit, offset)

    async def job(self, key: str) -> JobRecord | None:
        """See QueueAdmin.job."""
        return await self._listing.job(key)

    async def dead_letters(
        self, *, limit: int = 100, offset: int = 0
    ) -> Sequence[DeadLetterRecord]:
        """See QueueAdmin.dead_letters."""
        return await self._listing.dead_letters(limit, offset)

    async def replay(self, keys: Sequence[str]) -> int:
        """See QueueAdmin.replay."""
        return await self._each_slice(_REPLAY, keys)

    async def purge(self, keys: Sequence[str]) -> int:
        """See QueueAdmin.purge."""
        return await self._each_slice(_PURGE, keys)

    async def cancel(self, keys: Sequence[str]) -> int:
        """See QueueAdmin.cancel."""
        return await self._each_slice(_CANCEL, keys)

    async def pause(self, job_type: str | None = None) -> None:
        """See QueueAdmin.pause."""
        await self._session.fetch(_PAUSE, self._name, (job_type or "").encode())

    async def resume(self, job_type: str | None = None) -> None:
        """See QueueAdmin.resume. All that was put aside of the type, in one transaction."""
        await self._session.fetch(_RESUME, self._name, (job_type or "").encode())

    async def paused(self) -> tuple[bool, Sequence[str]]:
        """See QueueAdmin.paused."""
        held = sorted(each.decode() for each in await self._session.fetchval(_PAUSED, self._name))
        return "" in held, [name for name in held if name]

    async def close(self) -> None:
        """See QueueAdmin.close."""
        await self._session.close()

    async def _each_slice(self, statement: str, keys: Sequence[str]) -> int:
        total = 0
        for at in range(0, len(keys), MOST_PER_CALL):
            names = [key.encode() for key in keys[at : at + MOST_PER_CALL]]
            total += await self._session.fetchval(statement, self._name, names)
        return total
