"""The queue on Kafka; tested with 4.1.

Durability: a publish, a retry and a dead letter are acknowledged by all in-sync replicas
(`acks=all`, idempotent producer). Kafka flushes to the disk in its own time: with
`replication=3` in the URL and `min.insync.replicas=2` on the brokers nothing is lost when one of
them dies; a single broker that loses power may lose what it had not flushed
(`log.flush.interval.messages=1` avoids that). docs/brokers.md has the topics and the promises.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from itertools import count
from uuid import uuid4

from shared.clock import Clock, SystemClock
from shared.errors import ConfigError, ConnectionLostError, DependencyError, QueueConflictError
from shared.jobs import Job
from shared.queue.kafka.address import read_address
from shared.queue.kafka.capabilities import CAPABILITIES
from shared.queue.kafka.connection import mend
from shared.queue.kafka.exchanger import Exchanger
from shared.queue.kafka.lease_keeper import kafka_lease_keeper
from shared.queue.kafka.member import Member
from shared.queue.kafka.publisher import Publisher
from shared.queue.kafka.reader import Reader
from shared.queue.kafka.record import Outgoing, stored_of
from shared.queue.kafka.topics import LARGEST_JOB_BYTES, topics_of
from shared.queue.message import decode_message, forgiving
from shared.queue.port import (
    InboxDecoder,
    Published,
    QueueDepth,
    QueueSettings,
    needs_of,
    needs_of_job,
    require,
)
from shared.verdicts import Settlement
from shared.work_source import Exchange, LeaseKeeper

mend()

IDLE_LOOK_SECONDS = 1.0
JOIN_SECONDS = 60.0
MOST_PER_PUBLISH = 5000


class KafkaQueue:
    """One consumer of, and producer to, a queue. Not to be shared between event loops."""

    capabilities = CAPABILITIES

    def __init__(
        self,
        settings: QueueSettings,
        url: str,
        *,
        decoder: InboxDecoder = decode_message,
        clock: Clock | None = None,
    ) -> None:
        self._settings = settings
        self._address = read_address(url)
        self._topics = topics_of(settings.name)
        self._decoder = forgiving(decoder)
        self._clock = clock or SystemClock()
        self._reader = Reader(self._address, self._topics)
        self._publisher = Publisher(self._address)
        self._kind = ""
        self._origin = ""
        self._exchanger: Exchanger | None = None
        self._created = asyncio.Lock()
        self._topics_exist = False
        self._own_keys = (f"{prefix}-{number}" for prefix in (uuid4().hex,) for number in count())

    async def open(self, worker_kind: str, job_types: Sequence[str]) -> None:
        """See Queue.open. Creates the topics that are missing, and joins the group."""
        require(self.capabilities, *needs_of(self._settings))
        try:
            await self._create_topics()
            self._origin = (await self._reader.cluster_id())[:12]
            await self._refuse_other_kinds(worker_kind)
            self._kind = worker_kind
            self._exchanger = await self._joined()
            await self._until_assigned(self._exchanger)
        except ConnectionLostError as error:
            raise DependencyError(str(error)) from error

    async def publish(self, jobs: Sequence[Job]) -> Published:
        """See Queue.publish. A key that is published again is another job."""
        for job in jobs:
            if needs := needs_of_job(job):
                require(self.capabilities, *needs)
            if len(job.payload) > LARGEST_JOB_BYTES:
                raise ConfigError(
                    f"a job of {len(job.payload)} bytes is too large for Kafka: keep what is over "
                    f"{LARGEST_JOB_BYTES} elsewhere"
                )
        await self._create_topics()
        now = self._clock.wall()
        for at in range(0, len(jobs), MOST_PER_PUBLISH):
            part = jobs[at : at + MOST_PER_PUBLISH]
            await self._publisher.send([self._published_form(job, now) for job in part])
        return Published(len(jobs))

    async def exchange(self, settled: Sequence[Settlement], want: int) -> Exchange:
        """See WorkSource.exchange. At most 1,000 deliveries a call."""
        if self._opened().member.stopped:
            await self._rejoin()
        return await self._opened().exchange(settled, want)

    async def wait(self, timeout: float) -> None:
        """See WorkSource.wait. Reads ahead; hands out nothing."""
        await self._opened().wait(min(timeout, IDLE_LOOK_SECONDS))

    def lease_keeper(self) -> LeaseKeeper:
        """See WorkSource.lease_keeper: it tells what is lost, and renews nothing by itself."""
        self._opened()
        return kafka_lease_keeper(self._lost_among)

    async def depth(self) -> QueueDepth:
        """See Queue.depth. Delayed jobs whose time has come count as delayed until claimed."""
        await self._create_topics()
        return await self._reader.depth()

    async def incarnation(self) -> str:
        """See Queue.incarnation: the id of the cluster."""
        return await self._reader.cluster_id()

    async def close(self) -> None:
        """See WorkSource.close. What is still held counts as handed back."""
        exchanger, self._exchanger = self._exchanger, None
        if exchanger is not None:
            await exchanger.leave()
        await self._publisher.close()
        await self._reader.close()

    async def _create_topics(self) -> None:
        async with self._created:
            if not self._topics_exist:
                await self._reader.create_topics()
                self._topics_exist = True

    async def _refuse_other_kinds(self, kind: str) -> None:
        others = {name.rpartition("/")[0] for name in await self._reader.members()} - {kind}
        if others:
            raise QueueConflictError(
                f"queue {self._settings.name} already has {min(others)} workers, "
                f"and this is a {kind} worker: give each kind a queue name of its own"
            )

    async def _rejoin(self) -> None:
        """Begin a new membership; what the old one held is lost to it, and refused."""
        await self._opened().member.stop()
        self._exchanger = await self._joined()

    def _lost_among(self, tokens: Collection[str]) -> Collection[str]:
        return self._exchanger.lost_among(tokens) if self._exchanger else tokens

    async def _joined(self) -> Exchanger:
        seconds = self._settings.lease_seconds
        member = Member(self._address, self._topics, self._reader, self._kind, seconds)
        try:
            await member.start()
        except BaseException:
            await member.stop()
            raise
        return Exchanger(
            member, self._publisher, self._topics, self._settings, self._decoder,
            self._clock, self._origin,
        )  # fmt: skip

    async def _until_assigned(self, exchanger: Exchanger) -> None:
        deadline = self._clock.monotonic() + JOIN_SECONDS
        while True:
            try:
                await exchanger.exchange([], 0)
                if exchanger.member.steady:
                    return await self._refuse_other_kinds(self._kind)
                await exchanger.wait(1.0)
            except ConnectionLostError:
                if self._clock.monotonic() > deadline:
                    raise

    def _published_form(self, job: Job, now: float) -> Outgoing:
        key = job.key or next(self._own_keys)
        topic = self._topics.bucket(job.delay_seconds)
        return Outgoing(topic, None, key.encode(), job.payload, stored_of(job, key, now))

    def _opened(self) -> Exchanger:
        if self._exchanger is None:
            raise RuntimeError("open() the queue before consuming from it")
        return self._exchanger
