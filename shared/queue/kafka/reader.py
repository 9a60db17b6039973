"""Looks at a queue's topics from outside of the group: how much waits, and what is dead."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from aiokafka import AIOKafkaConsumer, TopicPartition, errors
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from shared.queue.kafka.address import Address
from shared.queue.kafka.closing import stop
from shared.queue.kafka.faults import translated
from shared.queue.kafka.letters import Letters
from shared.queue.kafka.record import Record
from shared.queue.kafka.starting import start
from shared.queue.kafka.topics import Topics, create_missing
from shared.queue.kafka.window import Progress, read_progress
from shared.queue.port import QueueDepth

ANSWER_SECONDS = 15.0
_READ_MS = 50
_PAUSE_SECONDS = 0.1
T = TypeVar("T")


class Reader:
    """A client of the cluster that is no member of the group; connects at the first call."""

    def __init__(self, address: Address, topics: Topics) -> None:
        self._address = address
        self._topics = topics
        self._starting = asyncio.Lock()
        self._admin: AIOKafkaAdminClient | None = None
        self._consumer: AIOKafkaConsumer | None = None
        self._dead = TopicPartition(topics.dead, 0)
        self.letters = Letters(self._end_of_dead, self._fetch_dead)

    async def create_topics(self) -> None:
        """Create what is missing of the queue. Raises DependencyError when that is refused."""

        async def call(admin: AIOKafkaAdminClient) -> None:
            await create_missing(admin, self._topics, self._address)

        await self._ask(call)

    async def cluster_id(self) -> str:
        """Name the cluster."""

        async def call(admin: AIOKafkaAdminClient) -> str:
            return str((await admin.describe_cluster())["cluster_id"])

        return await self._ask(call)

    async def members(self) -> Sequence[str]:
        """Return the client names of the group's members."""

        async def call(admin: AIOKafkaAdminClient) -> Sequence[str]:
            (answer,) = await admin.describe_consumer_groups([self._topics.inbox])
            return [member[1] for group in answer.groups for member in group[5]]

        return await self._ask(call)

    async def committed(
        self, partitions: Iterable[TopicPartition]
    ) -> dict[TopicPartition, tuple[int, Progress]]:
        """Return where each partition stands; those that were never committed at their start."""
        wanted = list(partitions)

        async def call(
            admin: AIOKafkaAdminClient,
        ) -> dict[TopicPartition, tuple[int, Progress]]:
            offsets = await admin.list_consumer_group_offsets(self._topics.inbox, None, wanted)
            if len(offsets) < len(wanted):  # the library drops the refusal of the whole answer
                raise errors.GroupLoadInProgressError
            found = {tp: each for tp, each in offsets.items() if each.offset >= 0}
            fresh = [tp for tp in wanted if tp not in found]
            starts = await (await self._log()).beginning_offsets(fresh) if fresh else {}
            known = {tp: (at.offset, read_progress(at.metadata)) for tp, at in found.items()}
            return known | {tp: (offset, Progress()) for tp, offset in starts.items()}

        return await self._ask(call)

    async def trim(self, done: Mapping[TopicPartition, int]) -> None:
        """Let the brokers delete the records of each partition before an offset."""

        async def call(admin: AIOKafkaAdminClient) -> None:
            await admin.delete_records({tp: RecordsToDelete(at) for tp, at in done.items()})

        await self._ask(call)

    async def depth(self) -> QueueDepth:
        """Count what waits where, as of the last commits."""
        ends = await self._ask(self._ends)
        waits: dict[str, int] = dict.fromkeys(self._topics.consumed, 0)
        leased = 0
        for tp, (offset, progress) in (await self.committed(ends)).items():
            waits[tp.topic] += max(0, ends[tp] - offset - progress.done - progress.running)
            leased += progress.running
        return QueueDepth(
            inbox=waits[self._topics.inbox],
            ready=waits[self._topics.jobs],
            delayed=sum(waits[topic] for topic in self._topics.retry),
            leased=leased,
            dead=await self.letters.count(),
        )

    async def close(self) -> None:
        """Let go of connections."""
        admin, self._admin = self._admin, None
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await stop(consumer)
        if admin is not None:
            await admin.close()

    async def _end_of_dead(self) -> int:
        async def call(_: AIOKafkaAdminClient) -> int:
            ends = await (await self._log()).end_offsets([self._dead])
            return int(ends[self._dead])

        return await self._ask(call)

    async def _fetch_dead(self, offset: int) -> tuple[Sequence[Record], int]:
        async def call(_: AIOKafkaAdminClient) -> tuple[Sequence[Record], int]:
            consumer, records = await self._log(), []
            consumer.resume(self._dead)
            consumer.seek(self._dead, offset)
            try:
                while (after := await consumer.position(self._dead)) == offset:
                    batches = await consumer.getmany(self._dead, timeout_ms=_READ_MS)
                    records = batches.get(self._dead, [])
                return records, after
            finally:
                consumer.pause(self._dead)  # a poll that waits would hold up the next question

        return await self._ask(call)

    async def _ends(self, _: AIOKafkaAdminClient) -> dict[TopicPartition, int]:
        consumer = await self._log()
        consumed = [tp for tp in consumer.assignment() if tp.topic != self._topics.dead]
        ends: dict[TopicPartition, int] = await consumer.end_offsets(consumed)
        return ends

    async def _ask(self, call: Callable[[AIOKafkaAdminClient], Awaitable[T]]) -> T:
        """Repeat a question while its error is one that passes, as after a start of the server."""
        with translated(self._address.servers):
            async with asyncio.timeout(ANSWER_SECONDS):
                admin = await self._started()
                while True:
                    try:
                        return await call(admin)
                    except errors.KafkaError as error:
                        if not error.retriable:
                            raise
                        await asyncio.sleep(_PAUSE_SECONDS)

    async def _started(self) -> AIOKafkaAdminClient:
        async with self._starting:
            if self._admin is None:
                admin = AIOKafkaAdminClient(**self._address.client())
                try:
                    await start(admin, self._address)
                except BaseException:
                    await admin.close()
                    raise
                self._admin = admin
            return self._admin

    async def _log(self) -> AIOKafkaConsumer:
        """Return a consumer that knows all partitions, and fetches none by itself."""
        admin = await self._started()
        async with self._starting:
            if self._consumer is None:
                partitions = await self._partitions(admin)
                consumer = AIOKafkaConsumer(
                    **self._address.client(),
                    enable_auto_commit=False,
                    auto_offset_reset="earliest",
                    fetch_max_wait_ms=_READ_MS,
                )
                try:
                    await start(consumer, self._address)
                    consumer.assign(partitions)
                    consumer.pause(*partitions)
                except BaseException:
                    await stop(consumer)
                    raise
                self._consumer = consumer
            return self._consumer

    async def _partitions(self, admin: AIOKafkaAdminClient) -> list[TopicPartition]:
        described = await admin.describe_topics([*self._topics.consumed, self._topics.dead])
        found = [
            TopicPartition(each["topic"], partition["partition"])
            for each in described
            for partition in each["partitions"]
        ]
        if len({tp.topic for tp in found}) < len(self._topics.consumed) + 1:
            raise errors.UnknownTopicOrPartitionError  # just created: the broker will know it soon
        return found
