"""A Postgres full of documents and an index that is to follow it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from hashlib import sha256

import msgspec

from indexer.metrics import IndexerMetrics
from indexer.processors.index_document import IndexDocument
from indexer.processors.settle_batch import BatchSettler
from indexer.reconcile import Reconciler
from indexer.search.port import SearchIndex, SearchQuery
from shared.contracts.jobs import DocumentJob
from shared.documents.factory import open_documents
from shared.documents.port import DOCUMENTS_SOURCE, DocumentStore, DocumentWrite
from shared.jobs import Delivery, Job
from shared.observability.metrics import MetricsTable
from shared.pool.processor import Execution
from shared.postgres.database import PostgresDatabase
from shared.verdicts import Done


class IndexerWorld:
    """Changes documents and runs index jobs, as a worker and its users do."""

    def __init__(self, database: PostgresDatabase, store: DocumentStore) -> None:
        self.database = database
        self.store = store
        self.writes = 0
        self._chance = random.Random(11)

    async def put(self, *names: str) -> None:
        """Write a new version of these documents."""
        async with self.database.transaction() as tx:
            await self.store.put(tx, [self._next_version(name) for name in names])

    def _next_version(self, name: str) -> DocumentWrite:
        self.writes += 1
        body = msgspec.json.encode({"title": f"doc {name}", "version": self.writes})
        return DocumentWrite(name, body, sha256(body).digest()[:16])

    async def remove(self, *names: str) -> None:
        """Mark these documents deleted."""
        async with self.database.transaction() as tx:
            await self.store.remove(tx, names)

    def processor(self, index: SearchIndex) -> IndexDocument:
        """Return the processor of a worker on this index."""
        settler = BatchSettler(
            Reconciler(self.store, index), IndexerMetrics(MetricsTable()), DOCUMENTS_SOURCE
        )
        return IndexDocument(settler, batch_size=500, linger_seconds=0.0)

    async def run_jobs(self, processor: IndexDocument, names: Sequence[str]) -> int:
        """Run index jobs until each is done, as the queue would; return how many were put off."""
        put_off = 0
        waiting = list(names)
        while waiting:
            batch = [
                Execution(DocumentJob(document_id=name), Delivery(job=Job(type="x"), token=name))
                for name in waiting
            ]
            verdicts = await processor.process_batch(batch)
            waiting = [n for n, v in zip(waiting, verdicts, strict=True) if not isinstance(v, Done)]
            put_off += len(waiting)
            if waiting:
                await asyncio.sleep(0.2)
        return put_off

    async def change_at_random(
        self, index: SearchIndex, names: Sequence[str], stop: asyncio.Event
    ) -> None:
        """Write, delete and write again until told to stop; each change is followed by its job."""
        processor = self.processor(index)
        while not stop.is_set():
            some = self._chance.sample(names, 3)
            await (self.remove if self._chance.random() < 0.4 else self.put)(*some)
            await self.run_jobs(processor, some)

    async def in_postgres(self) -> dict[str, object]:
        """Return the version of every live document."""
        async with self.database.connection() as connection:
            rows = await connection.fetch("SELECT id, body FROM documents WHERE NOT deleted")
        return {row["id"]: msgspec.json.decode(row["body"])["version"] for row in rows}


async def in_index(index: SearchIndex) -> dict[str, object]:
    """Return the version of every document that a search can find."""
    await index.refresh()
    result = await index.search(SearchQuery(text="doc", limit=5_000))
    return {hit.key.id: hit.body["version"] for hit in result.hits}


@asynccontextmanager
async def indexer_world(url: str) -> AsyncIterator[IndexerWorld]:
    """Open the database and its store."""
    database = PostgresDatabase(url)
    await database.open()
    try:
        yield IndexerWorld(database, await open_documents(database))
    finally:
        await database.close()
