"""The relay's own decisions, on the memory adapters."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

import pytest

from shared.documents.memory import MemoryDocumentStore
from shared.documents.port import DocumentKey, DocumentWrite
from shared.errors import ConnectionLostError
from shared.observability.metrics import MetricsTable
from shared.postgres.memory import MemoryDatabase
from sync.metrics import SyncMetrics
from sync.outbox_watch import OutboxWatch
from sync.relay import Relay
from sync.sources.memory import MemorySource
from sync.sources.port import OutboxDepth, QueueIdentity


class Queue:
    """Takes keys, fails as often as it is told to, and is born anew on demand."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.failures = 0
        self.incarnation = 1
        self.got_something = asyncio.Event()

    async def publish(self, keys: Sequence[DocumentKey]) -> None:
        if self.failures:
            self.failures -= 1
            raise ConnectionLostError("away")
        self.keys += [key.id for key in keys]
        self.got_something.set()

    async def identify(self) -> QueueIdentity:
        return QueueIdentity("jobs", str(self.incarnation))


@pytest.fixture
def database() -> MemoryDatabase:
    return MemoryDatabase()


@pytest.fixture
def queue() -> Queue:
    return Queue()


@pytest.fixture
def metrics() -> SyncMetrics:
    return SyncMetrics(MetricsTable())


@pytest.fixture
def relay(database: MemoryDatabase, queue: Queue, metrics: SyncMetrics) -> Relay:
    return Relay(
        MemorySource(database), queue.publish, queue.identify, metrics, batch=10, poll_seconds=60
    )


async def change(database: MemoryDatabase, *ids: str) -> None:
    async with database.transaction() as tx:
        await MemoryDocumentStore(database).put(
            tx, [DocumentWrite(each, b"{}", b"h" * 16) for each in ids]
        )


async def test_a_publish_that_fails_is_tried_again(
    database: MemoryDatabase, queue: Queue, relay: Relay
) -> None:
    queue.failures = 2
    stop = asyncio.Event()
    running = asyncio.create_task(relay.run(stop))
    await change(database, "a")
    async with asyncio.timeout(10):
        await queue.got_something.wait()
        stop.set()
        await running
    assert queue.keys == ["a"]


async def test_a_fault_of_our_own_ends_the_worker(database: MemoryDatabase, queue: Queue) -> None:
    async def broken() -> QueueIdentity:
        raise AssertionError("a bug")

    relay = Relay(
        MemorySource(database), queue.publish, broken, SyncMetrics(MetricsTable()),
        batch=10, poll_seconds=60,
    )  # fmt: skip
    with pytest.raises(AssertionError, match="a bug"):
        await relay.run(asyncio.Event())


async def test_a_queue_that_was_born_anew_is_noticed_while_running(
    database: MemoryDatabase, queue: Queue, relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sync.relay._ASK_QUEUE_EVERY_SECONDS", 0.0)
    await change(database, "a")
    await relay.step()
    await relay.step()
    assert queue.keys == ["a"]
    queue.incarnation = 2
    await relay.step()
    await relay.step()
    assert queue.keys == ["a", "a"]


async def test_the_watch_outlives_a_look_that_fails() -> None:
    looks: Iterator[Exception | OutboxDepth] = iter(
        [ConnectionLostError("away"), OutboxDepth(7, 1.5)]
    )
    stop = asyncio.Event()

    async def depth() -> OutboxDepth:
        look = next(looks)
        if isinstance(look, Exception):
            raise look
        stop.set()
        return look

    table = MetricsTable()
    metrics = SyncMetrics(table)
    await OutboxWatch(depth, metrics, every_seconds=0.01).run(stop)
    gauges = {metric.name: metric for metric in table.metrics}
    assert _value(table, gauges["sync_outbox_depth"].cell().at) == 7
    assert _value(table, gauges["sync_lag_seconds"].cell().at) == 1.5


def _value(table: MetricsTable, at: int) -> float:
    return float(table._own[at])
