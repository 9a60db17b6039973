"""What every change source promises, on each adapter."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from shared.clock import FrozenClock
from shared.documents.factory import open_documents
from shared.documents.port import DocumentKey, DocumentStore, DocumentWrite
from shared.errors import ConnectionLostError
from shared.postgres.database import PostgresDatabase
from shared.postgres.memory import MemoryDatabase
from sync.sources.memory import MemorySource
from sync.sources.outbox import OutboxSource
from sync.sources.port import ChangeSource, QueueIdentity

AnyDatabase = PostgresDatabase | MemoryDatabase


@pytest.fixture(params=["memory", "outbox on 18", "outbox on 15"])
async def database(request: pytest.FixtureRequest) -> AsyncIterator[AnyDatabase]:
    database: AnyDatabase = MemoryDatabase(FrozenClock())
    if request.param != "memory":
        fixture = "database_url" if request.param == "outbox on 18" else "database15_url"
        database = PostgresDatabase(request.getfixturevalue(fixture), max_connections=8)
    await database.open()
    yield database
    await database.close()


@pytest.fixture
async def store(database: AnyDatabase) -> DocumentStore:
    return await open_documents(database)


def change_source(database: AnyDatabase) -> ChangeSource:
    if isinstance(database, MemoryDatabase):
        return MemorySource(database)
    return OutboxSource(database)


@pytest.fixture
async def source(database: AnyDatabase, store: DocumentStore) -> AsyncIterator[ChangeSource]:
    source = change_source(database)
    yield source
    await source.close()


class Queue:
    """Takes keys; fails while it is told to."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.broken = False

    async def publish(self, keys: Sequence[DocumentKey]) -> None:
        if self.broken:
            raise ConnectionLostError("the queue is away")
        self.keys += [key.id for key in keys]

    def taken(self) -> list[str]:
        keys, self.keys = sorted(self.keys), []
        return keys


@pytest.fixture
def queue() -> Queue:
    return Queue()


_versions = iter(range(10**9))


async def change(database: AnyDatabase, store: DocumentStore, *ids: str) -> None:
    """Change documents, one transaction each."""
    for document_id in ids:
        content_hash = next(_versions).to_bytes(16, "big")
        async with database.transaction() as tx:
            await store.put(tx, [DocumentWrite(document_id, b"{}", content_hash)])


async def test_every_change_is_published_once_and_then_gone(
    database: AnyDatabase, store: DocumentStore, source: ChangeSource, queue: Queue
) -> None:
    await change(database, store, "a", "b", "c")
    assert await source.relay(queue.publish, 2) == 2
    assert await source.relay(queue.publish, 2) == 1
    assert await source.relay(queue.publish, 2) == 0
    assert queue.taken() == ["a", "b", "c"]


async def test_the_oldest_changes_come_first(
    database: AnyDatabase, store: DocumentStore, source: ChangeSource, queue: Queue
) -> None:
    await change(database, store, "z", "a", "m")
    await source.relay(queue.publish, 1)
    assert queue.taken() == ["z"]


async def test_changes_of_one_document_are_folded(
    database: AnyDatabase, store: DocumentStore, source: ChangeSource, queue: Queue
) -> None:
    await change(database, store, "a", "b", "a", "a")
    assert await source.relay(queue.publish, 10) == 4
    assert queue.taken() == ["a", "b"]


async def test_changes_come_again_when_the_publish_fails(
    database: AnyDatabase, store: DocumentStore, source: ChangeSource, queue: Queue
) -> None:
    await change(database, store, "a", "b")
    queue.broken = True
    with pytest.raises(ConnectionLostError, match="the queue is away"):
        await source.relay(queue.publish, 10)
    assert await source.replay(queue.publish) == 0
    queue.broken = False
    assert await source.relay(queue.publish, 10) == 2
    assert queue.taken() == ["a", "b"]


async def test_changes_come_again_when_the_relay_is_cancelled_in_its_publish(
    database: AnyDatabase, store: DocumentStore, source: ChangeSource, queue: Queue
) -> None:
    await change(database, store, "a")
    publishing = asyncio.Event()

    async def hang(_: Sequence[DocumentKey]) -> None:
        publishing.set()
        await asyncio.Event().wait()

    relaying = asyncio.create_task(source.relay(hang, 10))
    await publishing.wait()
    relaying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await relaying
    assert await source.relay(queue.publish, 10) == 1
    assert queue.taken() == ["a"]


async def test_relays_at_once_share_the_changes(
    database: AnyDatabase, store: DocumentStore, source: ChangeSource, queue: Queue
) -> None:
    await change(database, store, *"abcd")
    other = change_source(database)
    first_publishes, second_is_done = asyncio.Event(), asyncio.Event()

    async def slowly(keys: Sequence[DocumentKey]) -> None:
        first_publishes.set()
        await second_is_done.wait()
        await queue.publish(keys)

    first = asyncio.create_task(source.relay(slowly, 2))
    await first_publishes.wait()
    assert await other.relay(queue.publish, 10) == 2
    second_is_done.set()
    assert await first == 2
    await other.close()
    assert queue.taken() == ["a", "b", "c", "d"]


async def test_a_change_committed_late_is_not_missed(
    database: AnyDatabase, store: DocumentStore, source: ChangeSource, queue: Queue
) -> None:
    if isinstance(database, MemoryDatabase):
        # Its transactions come one after the other: nothing can commit late.
        await change(database, store, "late", "early")
    else:
        async with database.transaction() as tx:
            await store.put(tx, [DocumentWrite("late", b"{}", b"h" * 16)])
            await change(database, store, "early")
            assert await source.relay(queue.publish, 10) == 1
    await source.relay(queue.publish, 10)
    assert queue.taken() == ["early", "late"]


async def test_what_was_relayed_can_be_published_again(
    database: AnyDatabase, store: DocumentStore, source: ChangeSource, queue: Queue
) -> None:
    await change(database, store, "a", "b", "a")
    await source.relay(queue.publish, 10)
    queue.taken()
    assert await source.replay(queue.publish) == 2
    assert queue.taken() == ["a", "b"]
    assert await source.relay(queue.publish, 10) == 0


async def test_a_replay_happens_once_for_each_incarnation_of_a_queue(
    database: AnyDatabase, store: DocumentStore, source: ChangeSource, queue: Queue
) -> None:
    await change(database, store, "a")
    await source.replay(queue.publish, QueueIdentity("jobs", "born first"))
    await source.relay(queue.publish, 10)
    queue.taken()
    assert await source.replay(queue.publish, QueueIdentity("jobs", "born first")) == 0
    assert await source.replay(queue.publish, QueueIdentity("jobs", "born again")) == 1
    assert await source.replay(queue.publish, QueueIdentity("jobs", "born again")) == 0
    assert queue.taken() == ["a"]
    assert await source.replay(queue.publish, QueueIdentity("other", "born again")) == 1


async def test_a_replay_that_fails_comes_again(
    database: AnyDatabase, store: DocumentStore, source: ChangeSource, queue: Queue
) -> None:
    await change(database, store, "a")
    await source.relay(queue.publish, 10)
    queue.broken = True
    with pytest.raises(ConnectionLostError):
        await source.replay(queue.publish, QueueIdentity("jobs", "new"))
    queue.broken = False
    assert await source.replay(queue.publish, QueueIdentity("jobs", "new")) == 1


async def test_wait_ends_when_a_change_comes(
    database: AnyDatabase, store: DocumentStore, source: ChangeSource, queue: Queue
) -> None:
    # Spurious wake-ups are allowed: wait until one of them brings the change.
    async def until_relayed() -> None:
        while not await source.relay(queue.publish, 10):
            await source.wait(30)

    await until_waiting(source)
    relaying = asyncio.create_task(until_relayed())
    await change(database, store, "a")
    async with asyncio.timeout(10):
        await relaying
    assert queue.taken() == ["a"]


async def until_waiting(source: ChangeSource) -> None:
    """Use up the wake-ups of the start, until a wait lasts as long as it was told to."""
    loop = asyncio.get_running_loop()
    for _ in range(10):
        started = loop.time()
        await source.wait(0.3)
        if loop.time() - started >= 0.29:
            return
    raise AssertionError("wait never waits")


async def test_wait_may_be_cancelled(
    database: AnyDatabase, store: DocumentStore, source: ChangeSource, queue: Queue
) -> None:
    waiting = asyncio.create_task(source.wait(30))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await change(database, store, "a")
    assert await source.relay(queue.publish, 10) == 1
