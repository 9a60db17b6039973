"""What a person does to a queue on Kafka: depth, and its dead letters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from shared.clock import Clock, SystemClock
from shared.jobs import Job
from shared.queue.administration import DeadLetterRecord, JobRecord, State
from shared.queue.kafka.address import read_address
from shared.queue.kafka.capabilities import CAPABILITIES
from shared.queue.kafka.outbound import buried, replayed
from shared.queue.kafka.publisher import Publisher
from shared.queue.kafka.reader import Reader
from shared.queue.kafka.record import Record, Stored, job_of, read_stored
from shared.queue.kafka.topics import topics_of
from shared.queue.message import decode_message, forgiving
from shared.queue.port import InboxDecoder, QueueDepth, QueueSettings, require

MOST_PER_CALL = 100
"""Dead letters that are replayed together, each with up to 1 MB."""


class KafkaQueueAdmin:
    """Goes through the whole topic of the dead letters; what it deletes gets a tombstone."""

    capabilities = CAPABILITIES

    def __init__(
        self,
        settings: QueueSettings,
        url: str,
        *,
        decoder: InboxDecoder = decode_message,
        clock: Clock | None = None,
    ) -> None:
        address = read_address(url)
        self._topics = topics_of(settings.name)
        self._reader = Reader(address, self._topics)
        self._publisher = Publisher(address)
        self._decoder = forgiving(decoder)
        self._clock = clock or SystemClock()
        self._topics_exist = False

    async def depth(self) -> QueueDepth:
        """See QueueAdmin.depth."""
        await self._create_topics()
        return await self._reader.depth()

    async def jobs(self, state: State, *, limit: int = 100, offset: int = 0) -> Sequence[JobRecord]:
        """See QueueAdmin.jobs. Raises ConfigError."""
        require(CAPABILITIES, "listing")
        return []

    async def job(self, key: str) -> JobRecord | None:
        """See QueueAdmin.job. Raises ConfigError."""
        require(CAPABILITIES, "listing")
        return None

    async def dead_letters(
        self, *, limit: int = 100, offset: int = 0
    ) -> Sequence[DeadLetterRecord]:
        """See QueueAdmin.dead_letters."""
        await self._create_topics()
        return [self._record(each) for each in await self._reader.letters.page(limit, offset)]

    async def replay(self, keys: Sequence[str]) -> int:
        """See QueueAdmin.replay. A job is published again before its dead letter goes."""
        await self._create_topics()
        return sum([await self._replay(part) for part in _slices(keys)])

    async def purge(self, keys: Sequence[str]) -> int:
        """See QueueAdmin.purge."""
        await self._create_topics()
        letters = self._reader.letters
        return sum([await self._bury(await letters.among(part)) for part in _slices(keys)])

    async def cancel(self, keys: Sequence[str]) -> int:
        """See QueueAdmin.cancel. Raises ConfigError."""
        require(CAPABILITIES, "cancel")
        return 0

    async def pause(self, job_type: str | None = None) -> None:
        """See QueueAdmin.pause. Raises ConfigError."""
        require(CAPABILITIES, "pause_type" if job_type else "pause")

    async def resume(self, job_type: str | None = None) -> None:
        """See QueueAdmin.resume. Raises ConfigError."""
        require(CAPABILITIES, "pause_type" if job_type else "pause")

    async def paused(self) -> tuple[bool, Sequence[str]]:
        """See QueueAdmin.paused. Raises ConfigError."""
        require(CAPABILITIES, "pause")
        return False, []

    async def close(self) -> None:
        """See QueueAdmin.close."""
        await self._publisher.close()
        await self._reader.close()

    async def _create_topics(self) -> None:
        if not self._topics_exist:
            await self._reader.create_topics()
            self._topics_exist = True

    async def _replay(self, keys: Sequence[str]) -> int:
        records = await self._reader.letters.of(keys)
        found = [(each, read_stored(each, "")) for each in records]
        now = self._clock.wall()
        await self._publisher.send([replayed(*each, self._topics, now) for each in found])
        return await self._bury([stored.key for _, stored in found])

    async def _bury(self, keys: Sequence[str]) -> int:
        await self._publisher.send([buried(key, self._topics) for key in keys])
        return len(keys)

    def _record(self, record: Record) -> DeadLetterRecord:
        stored = read_stored(record, "")
        return DeadLetterRecord(
            key=stored.key,
            reason=stored.reason,
            died_at=stored.died_at,
            attempts=stored.attempts,
            crashes=stored.crashes,
            job=self._job(record, stored),
            raw=b"" if stored.type is not None else record.value or b"",
        )

    def _job(self, record: Record, stored: Stored) -> Job | None:
        try:
            return job_of(stored, record.value, self._decoder)
        except ValueError:
            return None


def _slices(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    return (keys[at : at + MOST_PER_CALL] for at in range(0, len(keys), MOST_PER_CALL))
