"""What the document store does to rows, beyond the contract."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from shared.documents.port import DocumentWrite
from shared.documents.postgres import PostgresDocumentStore
from shared.postgres.database import PostgresDatabase
from shared.postgres.transaction import connection_of


@pytest.fixture
async def database(any_database_url: str) -> AsyncIterator[PostgresDatabase]:
    database = PostgresDatabase(any_database_url, max_connections=4)
    await database.open()
    yield database
    await database.close()


@pytest.fixture
async def store(database: PostgresDatabase) -> PostgresDocumentStore:
    store = PostgresDocumentStore(database)
    await store.open()
    return store


def document(text: bytes = b"same") -> DocumentWrite:
    return DocumentWrite("a", b'{"a": "b"}', text.ljust(16, b"."))


async def test_an_unchanged_document_is_neither_written_nor_locked(
    database: PostgresDatabase, store: PostgresDocumentStore
) -> None:
    async def row() -> object:
        async with database.connection() as connection:
            return await connection.fetchrow("SELECT ctid, xmin, xmax, changed_at FROM documents")

    async with database.transaction() as tx:
        assert await store.put(tx, [document()]) == 1
    before = await row()
    async with database.transaction() as tx:
        assert await store.put(tx, [document()]) == 0
    assert await row() == before


async def test_of_two_racing_puts_of_one_text_the_second_changes_nothing(
    database: PostgresDatabase, store: PostgresDocumentStore
) -> None:
    async def put() -> int:
        async with database.transaction() as tx:
            return await store.put(tx, [document()])

    async with database.transaction() as tx:
        assert await store.put(tx, [document()]) == 1
        second = asyncio.create_task(put())
        async with asyncio.timeout(10):
            blocked = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"
            while not await connection_of(tx).fetchval(blocked):
                await asyncio.sleep(0.01)
    assert await second == 0


async def test_puts_in_opposite_order_do_not_deadlock(
    database: PostgresDatabase, store: PostgresDocumentStore
) -> None:
    ids = [f"doc-{number:04}" for number in range(2000)]

    async def put(order: list[str], version: int) -> int:
        content_hash = version.to_bytes(16, "big")
        async with database.transaction() as tx:
            return await store.put(tx, [DocumentWrite(each, b"{}", content_hash) for each in order])

    for version in range(0, 20, 2):
        changed = await asyncio.gather(put(ids, version), put(ids[::-1], version + 1))
        assert list(changed) == [2000, 2000]


async def test_a_removed_document_keeps_no_text(
    database: PostgresDatabase, store: PostgresDocumentStore
) -> None:
    async with database.transaction() as tx:
        await store.put(tx, [document()])
        await store.remove(tx, ["a"])
    async with database.connection() as connection:
        row = await connection.fetchrow("SELECT deleted, body, content_hash FROM documents")
    assert tuple(row) == (True, None, None)


async def test_a_body_is_read_as_bytes_of_json_text(
    database: PostgresDatabase, store: PostgresDocumentStore
) -> None:
    body = '{"text": "ä \\"quoted\\" \U0001f35e", "n": 12345678901234567890.5}'.encode()
    async with database.transaction() as tx:
        await store.put(tx, [DocumentWrite("a", body, b"h" * 16)])
    read = await store.read("documents", ["a"])
    expected = '{"n": 12345678901234567890.5, "text": "ä \\"quoted\\" \U0001f35e"}'
    assert read.documents[0].body == expected.encode()
