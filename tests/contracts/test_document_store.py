"""What every document store promises, on each adapter."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence

import pytest

from shared.documents.factory import open_documents
from shared.documents.port import (
    DOCUMENTS_SOURCE,
    DocumentKey,
    DocumentStore,
    DocumentWrite,
)
from shared.errors import PermanentError, UnknownSourceError
from shared.postgres.database import PostgresDatabase
from shared.postgres.memory import MemoryDatabase
from sync.sources.memory import MemorySource
from sync.sources.outbox import OutboxSource
from sync.sources.port import ChangeSource

AnyDatabase = PostgresDatabase | MemoryDatabase


@pytest.fixture(params=["memory", "postgres18", "postgres15"])
async def database(request: pytest.FixtureRequest) -> AsyncIterator[AnyDatabase]:
    database: AnyDatabase = MemoryDatabase()
    if request.param != "memory":
        fixture = "database_url" if request.param == "postgres18" else "database15_url"
        database = PostgresDatabase(request.getfixturevalue(fixture), max_connections=4)
    await database.open()
    yield database
    await database.close()


@pytest.fixture
async def store(database: AnyDatabase) -> DocumentStore:
    return await open_documents(database)


@pytest.fixture
async def changes(database: AnyDatabase, store: DocumentStore) -> AsyncIterator[ChangeSource]:
    source: ChangeSource
    if isinstance(database, MemoryDatabase):
        source = MemorySource(database)
    else:
        source = OutboxSource(database)
    yield source
    await source.close()


def document(document_id: str, text: str = "") -> DocumentWrite:
    body = json.dumps({"text": text or document_id}).encode()
    return DocumentWrite(document_id, body, text.encode().ljust(16, b"."))


async def put(database: AnyDatabase, store: DocumentStore, *documents: DocumentWrite) -> int:
    async with database.transaction() as tx:
        return await store.put(tx, documents)


async def remove(database: AnyDatabase, store: DocumentStore, *ids: str) -> int:
    async with database.transaction() as tx:
        return await store.remove(tx, ids)


async def texts(store: DocumentStore, *ids: str) -> list[str | None]:
    read = await store.read(DOCUMENTS_SOURCE, ids)
    assert [each.id for each in read.documents] == list(ids)
    return [json.loads(each.body)["text"] if each.body else None for each in read.documents]


async def changed_ids(changes: ChangeSource) -> list[str]:
    seen: list[DocumentKey] = []

    async def publish(keys: Sequence[DocumentKey]) -> None:
        seen.extend(keys)

    while await changes.relay(publish, 100):
        pass
    assert {key.source for key in seen} <= {DOCUMENTS_SOURCE}
    return sorted(key.id for key in seen)


async def test_what_was_put_is_read_in_the_order_asked(
    database: AnyDatabase, store: DocumentStore
) -> None:
    assert await put(database, store, document("a"), document("b")) == 2
    assert await texts(store, "b", "missing", "a", "b") == ["b", None, "a", "b"]


async def test_a_read_returns_the_hash_that_was_put(
    database: AnyDatabase, store: DocumentStore
) -> None:
    await put(database, store, document("a", "one"))
    read = await store.read(DOCUMENTS_SOURCE, ["a", "missing"])
    assert [each.content_hash for each in read.documents] == [b"one".ljust(16, b"."), None]


async def test_stamps_rise_with_every_read(store: DocumentStore) -> None:
    stamps = [(await store.read(DOCUMENTS_SOURCE, ["a"])).stamp for _ in range(3)]
    assert stamps == sorted(set(stamps))
    assert 0 < stamps[0] < stamps[-1] < 2**63


async def test_stamps_are_unique_across_concurrent_readers(store: DocumentStore) -> None:
    reads = await asyncio.gather(*(store.read(DOCUMENTS_SOURCE, []) for _ in range(40)))
    assert len({read.stamp for read in reads}) == 40


async def test_the_same_hash_causes_neither_write_nor_change(
    database: AnyDatabase, store: DocumentStore, changes: ChangeSource
) -> None:
    await put(database, store, document("a", "one"), document("b", "one"))
    assert await changed_ids(changes) == ["a", "b"]
    assert await put(database, store, document("a", "one"), document("b", "two")) == 1
    assert await changed_ids(changes) == ["b"]
    assert await texts(store, "a", "b") == ["one", "two"]


async def test_the_last_of_several_documents_with_one_id_wins(
    database: AnyDatabase, store: DocumentStore
) -> None:
    assert await put(database, store, document("a", "one"), document("a", "two")) == 1
    assert await texts(store, "a") == ["two"]


async def test_a_removed_document_is_absent_until_it_is_put_again(
    database: AnyDatabase, store: DocumentStore, changes: ChangeSource
) -> None:
    await put(database, store, document("a", "one"), document("b"))
    await changed_ids(changes)
    assert await remove(database, store, "a", "a", "missing") == 1
    assert await remove(database, store, "a") == 0
    assert await changed_ids(changes) == ["a"]
    assert await texts(store, "a", "b") == [None, "b"]
    assert await put(database, store, document("a", "one")) == 1
    assert await changed_ids(changes) == ["a"]
    assert await texts(store, "a") == ["one"]


async def test_a_rolled_back_write_leaves_no_trace(
    database: AnyDatabase, store: DocumentStore, changes: ChangeSource
) -> None:
    await put(database, store, document("a", "one"))
    await changed_ids(changes)

    async def write_and_fail() -> None:
        async with database.transaction() as tx:
            await store.put(tx, [document("a", "two"), document("b")])
            await store.remove(tx, ["a"])
            raise PermanentError("after the writes")

    with pytest.raises(PermanentError, match="after the writes"):
        await write_and_fail()
    assert await texts(store, "a", "b") == ["one", None]
    assert await changed_ids(changes) == []


async def test_an_open_transaction_sees_its_own_writes_and_nobody_else_does(
    database: AnyDatabase, store: DocumentStore
) -> None:
    async with database.transaction() as tx:
        assert await store.put(tx, [document("a", "one")]) == 1
        assert await store.put(tx, [document("a", "one")]) == 0
        assert await texts(store, "a") == [None]
        assert await store.count(DOCUMENTS_SOURCE) == 0
    assert await texts(store, "a") == ["one"]


async def test_keys_are_paged_in_byte_order_without_removed_ones(
    database: AnyDatabase, store: DocumentStore
) -> None:
    ids = ["B", "a", "b", "ä", "z/1", "z-1"]
    await put(database, store, *(document(each) for each in ids))
    await remove(database, store, "b")
    assert await store.keys_after(DOCUMENTS_SOURCE, None, 3) == ["B", "a", "z-1"]
    assert await store.keys_after(DOCUMENTS_SOURCE, "z-1", 3) == ["z/1", "ä"]
    assert await store.keys_after(DOCUMENTS_SOURCE, "ä", 3) == []


async def test_count_counts_live_documents(database: AnyDatabase, store: DocumentStore) -> None:
    assert await store.count(DOCUMENTS_SOURCE) == 0
    await put(database, store, document("a"), document("b"))
    await remove(database, store, "b")
    assert await store.count(DOCUMENTS_SOURCE) == 1


async def test_an_id_no_database_can_hold_names_no_document(store: DocumentStore) -> None:
    assert await texts(store, "nul\0", "surrogate\ud800") == [None, None]


async def test_a_body_that_is_not_json_is_refused(
    database: AnyDatabase, store: DocumentStore
) -> None:
    with pytest.raises(PermanentError):
        await put(database, store, DocumentWrite("a", b"{", b"h" * 16))
    assert await texts(store, "a") == [None]


@pytest.mark.parametrize("name", ["unknown", "x; DROP TABLE documents", ""])
async def test_an_unknown_source_is_named_with_those_that_are_known(
    store: DocumentStore, name: str
) -> None:
    assert await store.sources() == [DOCUMENTS_SOURCE]
    for call in (store.read(name, ["a"]), store.keys_after(name, None, 1), store.count(name)):
        with pytest.raises(UnknownSourceError, match="known are: documents"):
            await call
