"""What a person does to a queue in JetStream: dead letters, pause and resume."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

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

MOST_PER_CALL = 100
"""Dead letters that are replayed or deleted together: each may wait for the disk."""
_FOR_EVER = "2200-01-01T00:00:00Z"


class NatsQueueAdmin:
    """See QueueAdmin."""

    capabilities: Capabilities = CAPABILITIES

    def __init__(self, settings: QueueSettings, url: str) -> None:
        self._names = names_of(settings.name)
        self._link = Link(Address(url), self._names, settings.lease_seconds)
        self._page_end = (0, 0)
        """How many letters there were up to the end of the last page, and its last sequence."""

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
        read, sequence = self._page_end if self._page_end[0] == offset else (0, 0)
        wanted = offset - read + limit
        found = await letters.oldest(await self._link.session(), self._names, wanted, sequence)
        page = found[offset - read :]
        if page:
            self._page_end = offset + len(page), page[-1].sequence
        return [record_of(each.letter, each.died_at) for each in page]

    async def replay(self, keys: Sequence[str]) -> int:
        """See QueueAdmin.replay. A message that could not be read goes to the inbox again."""
        return sum([await self._end(part, again=True) for part in _slices(keys)])

    async def purge(self, keys: Sequence[str]) -> int:
        """See QueueAdmin.purge."""
        return sum([await self._end(part, again=False) for part in _slices(keys)])

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

    async def _end(self, keys: Sequence[str], *, again: bool) -> int:
        self._page_end = (0, 0)
        session = await self._link.session()
        found = await letters.newest_of(session, self._names, keys)
        if again:
            await store(session, [self._again(each) for each in found])
        await letters.delete(session, self._names, found)
        return len(found)

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


def _slices(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    once = list(dict.fromkeys(keys))
    return (once[at : at + MOST_PER_CALL] for at in range(0, len(once), MOST_PER_CALL))
