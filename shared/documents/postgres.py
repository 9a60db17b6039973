"""The document store in Postgres: the built-in table, and the users' tables through their SQL."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import asyncpg

from shared.documents.port import DOCUMENTS_SOURCE, DocumentWrite, StampedRead, StoredDocument
from shared.documents.sql import statement
from shared.documents.stamps import draw_stamp
from shared.errors import PermanentError, UnknownSourceError
from shared.postgres.database import PostgresDatabase
from shared.postgres.migrations import migrate
from shared.postgres.port import Transaction
from shared.postgres.transaction import connection_of

SCHEMA = Path(__file__).parent / "schema"

_PUT, _REMOVE, _COUNT = statement("put"), statement("remove"), statement("count")
_READ, _KEYS_AFTER, _SOURCES = statement("read"), statement("keys_after"), statement("sources")
_SOURCE_READ, _SOURCE_KEYS = statement("source_read"), statement("source_keys")
_SOURCE_LIVE = statement("source_live")
_COUNTED_AT_ONCE = 10_000
_LONG_SECONDS = 3600.0
_SURROGATE = re.compile("[\ud800-\udfff]")

# A source's name is part of a function's name, and jobs may carry any text as a name.
SOURCE_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")


class PostgresDocumentStore:
    """Documents of all sources, read on the primary under a reader's stamp."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database

    async def open(self) -> None:
        """Create or update the tables; raises DependencyError as PostgresDatabase.open does."""
        await migrate(self._database, "documents", SCHEMA)

    async def put(self, tx: Transaction, documents: Sequence[DocumentWrite]) -> int:
        """Insert or replace; see DocumentStore.put. The last of several with one id wins."""
        last = {document.id: document for document in documents}
        row = await connection_of(tx).fetchrow(
            _PUT,
            list(last),
            [document.body for document in last.values()],
            [document.content_hash for document in last.values()],
        )
        return int(row["count"])

    async def remove(self, tx: Transaction, ids: Sequence[str]) -> int:
        """Mark deleted; see DocumentStore.remove."""
        row = await connection_of(tx).fetchrow(_REMOVE, list(ids))
        return int(row["count"])

    async def read(self, source: str, ids: Sequence[str]) -> StampedRead:
        """Draw a stamp, then read; see DocumentStore.read.

        Raises PermanentError when a user's SQL fails or returns a document twice.
        """
        wanted = [document_id for document_id in ids if _storable(document_id)]
        async with self._database.connection() as connection:
            sql = await _statement_for(connection, source, _READ, _SOURCE_READ)
            # Two statements, and no transaction around them: each has a snapshot of its own, and
            # the second one's is taken after the stamp was drawn.
            stamp = await draw_stamp(connection)
            rows = await connection.fetch(sql, wanted)
        found = _by_id(source, rows)
        documents = [
            found.get(document_id, StoredDocument(document_id, None)) for document_id in ids
        ]
        return StampedRead(stamp, documents)

    async def keys_after(self, source: str, after: str | None, limit: int) -> Sequence[str]:
        """Page through live documents; see DocumentStore.keys_after."""
        async with self._database.connection() as connection:
            if source == DOCUMENTS_SOURCE:
                return [row["id"] for row in await connection.fetch(_KEYS_AFTER, after, limit)]
            live: list[str] = []
            async for page in _live_pages(connection, source, after, limit):
                live += page
                if len(live) >= limit:
                    break
            return live[:limit]

    async def count(self, source: str) -> int:
        """Count live documents; of a user's source by building them page by page."""
        async with self._database.connection() as connection:
            if source == DOCUMENTS_SOURCE:
                return int(await connection.fetchval(_COUNT, timeout=_LONG_SECONDS))
            pages = _live_pages(connection, source, None, _COUNTED_AT_ONCE)
            return sum([len(page) async for page in pages])

    async def sources(self) -> Sequence[str]:
        """List the built-in source and those that `worker-sync install` registered."""
        async with self._database.connection() as connection:
            return await _known_sources(connection)


async def _live_pages(
    connection: asyncpg.Connection, source: str, after: str | None, limit: int
) -> AsyncIterator[list[str]]:
    """Page through the keys of a user's table; yield those of each page that are documents."""
    keys_sql = await _statement_for(connection, source, "", _SOURCE_KEYS)
    live_sql = await _statement_for(connection, source, "", _SOURCE_LIVE)
    while True:
        page = [row[0] for row in await connection.fetch(keys_sql, after, limit)]
        live = {row["id"] for row in await connection.fetch(live_sql, page)}
        yield [key for key in page if key in live]
        if len(page) < limit:
            return
        after = page[-1]


async def _statement_for(
    connection: asyncpg.Connection, source: str, built_in: str, of_source: str
) -> str:
    if source == DOCUMENTS_SOURCE:
        return built_in
    known = await _known_sources(connection)
    if source not in known or not SOURCE_NAME.fullmatch(source):
        raise UnknownSourceError(
            f"no source {source!r} is registered; known are: {', '.join(known)}"
        )
    return of_source.replace("{name}", source)


async def _known_sources(connection: asyncpg.Connection) -> list[str]:
    return [DOCUMENTS_SOURCE, *(row["name"] for row in await connection.fetch(_SOURCES))]


def _storable(document_id: str) -> bool:
    """Tell whether Postgres can hold this text; an id that it cannot hold names no document."""
    return "\0" not in document_id and not _SURROGATE.search(document_id)


def _by_id(source: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, StoredDocument]:
    found = {row["id"]: StoredDocument(row["id"], row["body"], row["content_hash"]) for row in rows}
    if len(found) < len(rows):
        (twice, _), *_ = Counter(row["id"] for row in rows).most_common(1)
        raise PermanentError(f"source {source}: its SQL returns document {twice!r} twice")
    return found
