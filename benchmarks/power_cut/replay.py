"""What the outbox brings back: Redis with everysec loses power, Postgres beside it does not."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from benchmarks.power_cut.cases import RedisServer
from shared.contracts.jobs import INDEX_DOCUMENT
from shared.documents.factory import open_documents
from shared.documents.port import DocumentWrite
from shared.embedded.postgres import PostgresServer
from shared.observability.metrics import MetricsTable
from shared.postgres.database import PostgresDatabase
from shared.queue.factory import create_queue
from shared.queue.port import Queue, QueueSettings
from shared.verdicts import Done, Settlement
from sync.metrics import SyncMetrics
from sync.relay import Relay
from sync.sources.outbox import OutboxSource
from sync.sources.port import QueueIdentity
from sync.targets.index_jobs import IndexJobs
from tests.faults.disks import PoweredDisk, powered_disk

_SETTINGS = QueueSettings(name="indexer:jobs")
DOCUMENTS_A_CHANGE = 50


class Replay(msgspec.Struct, frozen=True):
    """What was in the queue when, in jobs."""

    relayed: int
    lost_by_redis: int
    lost_in_the_end: int


def cut_behind_the_relay(directory: Path, seconds: float, appendfsync: str = "everysec") -> Replay:
    """Change documents and relay them for so long, cut Redis's power, and let the relay go on."""
    postgres = PostgresServer(directory / "postgres")
    postgres.start()
    try:
        with powered_disk(directory / "powered") as disk:
            redis = RedisServer(disk.at / "data", appendfsync)
            redis.start()
            try:
                return asyncio.run(_Scene(postgres.url, redis).play(disk, seconds))
            finally:
                redis.kill()
    finally:
        postgres.stop()
        shutil.rmtree(directory / "postgres")


class _Scene:
    def __init__(self, database_url: str, redis: RedisServer) -> None:
        self._database_url = database_url
        self._redis = redis
        self._metrics = SyncMetrics(MetricsTable())

    async def play(self, disk: PoweredDisk, seconds: float) -> Replay:
        database = PostgresDatabase(self._database_url)
        await database.open()
        source = OutboxSource(database)
        try:
            async with self._queue() as queue:
                relayed = await self._change_and_relay(database, source, queue, seconds)
                disk.cut_power()
                self._redis.kill()
            disk.restore()
            self._redis.start()
            async with self._queue() as queue:
                left = await _documents_in(queue)
                await self._relay(source, queue).step()
                again = await _documents_in(queue)
        finally:
            await source.close()
            await database.close()
        return Replay(len(relayed), len(relayed - left), len(relayed - left - again))

    async def _change_and_relay(
        self, database: PostgresDatabase, source: OutboxSource, queue: Queue, seconds: float
    ) -> set[str]:
        """Return the documents whose jobs Redis has acknowledged."""
        store = await open_documents(database)
        relay = self._relay(source, queue)
        relayed: set[str] = set()
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            ids = [f"doc-{len(relayed) + at}" for at in range(DOCUMENTS_A_CHANGE)]
            async with database.transaction() as tx:
                await store.put(tx, [DocumentWrite(each, b"{}", each.encode()) for each in ids])
            await relay.step()
            relayed.update(ids)
        return relayed

    def _relay(self, source: OutboxSource, queue: Queue) -> Relay:
        async def identify() -> QueueIdentity:
            return QueueIdentity(_SETTINGS.name, await queue.incarnation())

        publish = IndexJobs(queue, self._metrics).publish
        return Relay(
            source, publish, identify, self._metrics, batch=DOCUMENTS_A_CHANGE, poll_seconds=0.2
        )

    @asynccontextmanager
    async def _queue(self) -> AsyncIterator[Queue]:
        queue = create_queue(_SETTINGS, self._redis.url)
        await queue.open("indexer", [INDEX_DOCUMENT])
        yield queue
        await queue.close()


async def _documents_in(queue: Queue) -> set[str]:
    """Take all jobs off the queue; return the documents they name."""
    found: set[str] = set()
    settled: list[Settlement] = []
    while True:
        answer = await queue.exchange(settled, 1000)
        if not answer.deliveries:
            return found
        found.update(each.job.id for each in answer.deliveries)
        settled = [Settlement(each, Done()) for each in answer.deliveries]
