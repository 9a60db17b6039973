"""What a person does to a queue in JetStream: dead letters, pause and resume."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from shared.queue.administration import DeadLetterRecord, JobRecord, State
from shared.queue.nats_jetstream import depth, letters
from shared.queue.nats_jetstream.address import Address
from shared.queue.nats_jetstream.capabilities import CAPABILITIES
from shared.queue.nats_jetstream.link import Link
from shared.queue.nats_jetstream.names import CONSUMERS, names_of
from shared.queue.nats_jetstream.settlement import waiting
from shared.queue.nats_jetstream.store import Message, store
from shared.queue.nats_jetstream.stored_job import record_of
from shared.queue.nats_jetstream.streams import succeeded
from shared.queue.port import Capabilities, QueueDepth, QueueSettings, require

_FOR_EVER = "2200-01-01T00:00:00Z"


class NatsQueueAdmin:
    """See QueueAdmin."""

    capabilities: Capabilities = CAPABILITIES

    def __init__(self, settings: QueueSettings, url: str) -> None:
        self._names = names_of(settings.name)
        self._link = Link(Address(url), self._names, settings.lease_seconds)

    async def depth(self) -> QueueDepth:
        """See QueueAdmin.depth."""
        return await depth.depth(await self._link.session(), self._names)

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
        """See QueueAdmin.dead_letters."""
        found = await letters.oldest(await self._link.session(), self._names, offset + limit)
        return [record_of(each.letter, each.died_at) for each in found[offset:]]

    async def replay(self, keys: Sequence[str]) -> int:
        """See QueueAdmin.replay. A message that could not be read goes to the inbox again."""
        session = await self._link.session()
        found = await letters.newest_of(session, self._names, keys)
        await store(session, [self._again(each) for each in found])
        await letters.delete(session, self._names, found)
        return len(found)

    async def purge(self, keys: Sequence[str]) -> int:
        """See QueueAdmin.purge."""
        session = await self._link.session()
        found = await letters.newest_of(session, self._names, keys)
        await letters.delete(session, self._names, found)
        return len(found)

    async def cancel(self, keys: Sequence[str]) -> int:
        """See QueueAdmin.cancel."""
        require(CAPABILITIES, "cancel")
        return 0

    async def pause(self, job_type: str | None = None) -> None:
        """See QueueAdmin.pause."""
        await self._pause_until({"pause_until": _FOR_EVER}, job_type)

    async def resume(self, job_type: str | None = None) -> None:
        """See QueueAdmin.resume."""
        await self._pause_until({}, job_type)

    async def paused(self) -> tuple[bool, Sequence[str]]:
        """See QueueAdmin.paused."""
        session = await self._link.session()
        calls = [f"CONSUMER.INFO.{self._names.stream}.{each}" for each in CONSUMERS]
        answers = await session.answers([await session.ask_api(call) for call in calls])
        return any(succeeded(session.read(each)).get("paused") for each in answers), []

    async def close(self) -> None:
        """See QueueAdmin.close."""
        await self._link.close()

    async def _pause_until(self, until: dict[str, str], job_type: str | None) -> None:
        require(CAPABILITIES, "pause", *(["pause_type"] if job_type else []))
        session = await self._link.session()
        for each in CONSUMERS:
            succeeded(await session.api(f"CONSUMER.PAUSE.{self._names.stream}.{each}", until))

    def _again(self, found: letters.FoundLetter) -> Message:
        unique = f"replay:{found.died_at}:{found.sequence}"
        letter = found.letter
        if letter.job is None:
            return Message(letter.subject, letter.raw, unique)
        job = replace(letter.job, attempts=0, crashes=0, first_seen_ms=0)
        return waiting(self._names, self._link.origin, job, unique, 0.0)
