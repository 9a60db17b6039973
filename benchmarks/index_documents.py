"""Documents from Postgres rows into Elasticsearch, by the processor of worker-indexer.

`python -m benchmarks.index_documents` starts a Postgres and an Elasticsearch of its own, stores
documents of 2 KB, and lets one process reconcile all of them: draw a stamp, read the rows, write
bulks, and take every document's outcome. The figure runs, after a warm-up, from the first read to
the last answer; afterwards the documents are counted in the index.
"""

from __future__ import annotations

import asyncio
import os
import platform
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from hashlib import sha256
from importlib.metadata import version
from itertools import accumulate
from pathlib import Path

import msgspec
import uvloop

from indexer.metrics import IndexerMetrics
from indexer.processors.index_document import IndexDocument
from indexer.processors.settle_batch import BatchSettler
from indexer.reconcile import Reconciler
from indexer.search.factory import create_index
from indexer.search.port import SearchIndex
from indexer.settings import IndexerSettings
from shared.contracts.jobs import DocumentJob
from shared.documents.factory import open_documents
from shared.documents.port import DOCUMENTS_SOURCE, DocumentStore, DocumentWrite
from shared.embedded.postgres import PostgresServer
from shared.jobs import Delivery, Job
from shared.observability.metrics import MetricsTable
from shared.pool.processor import Execution
from shared.postgres.database import PostgresDatabase
from shared.verdicts import Done
from tests.services.elasticsearch import VERSION, Elasticsearch

BODY_BYTES = 2_048
SLOTS = 8
WARM_UP = 5_000
"""Documents written before the clock starts: Java compiles what runs often."""
_PUT_AT_ONCE = 1_000
_VOCABULARY = 20_000


class Measured(msgspec.Struct, frozen=True):
    """What one run took."""

    documents: int
    seconds: float
    cpu_seconds: float
    """Of our own process."""
    bulk_bytes: float


def measure(documents: int = 30_000) -> dict[str, float]:
    """Return `docs_per_s` and `client_us_per_doc` (our own processor time).

    Raises AssertionError when a document did not reach the index.
    """
    with tempfile.TemporaryDirectory(prefix="bench-index-") as name:
        directory = Path(name)
        directory.chmod(0o711)  # the servers refuse to run as root and get through as others
        postgres, elasticsearch = _servers(directory)
        try:
            found = uvloop.run(_run(postgres.url, elasticsearch.url, documents))
        finally:
            elasticsearch.stop()
            postgres.stop()
    return {
        "docs_per_s": round(found.documents / found.seconds),
        "client_us_per_doc": round(found.cpu_seconds / found.documents * 1e6, 1),
        "bulk_mb_per_s": round(found.bulk_bytes / found.seconds / 1e6, 1),
    }


def settings() -> str:
    """Describe machine, versions and settings in one line."""
    return (
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"Elasticsearch {VERSION} with 400 MB heap on the same machine, 1 shard, "
        f"elasticsearch-py {version('elasticsearch')}, asyncpg {version('asyncpg')}, uvloop, "
        f"1 process, {SLOTS} slots, batches of {IndexerSettings().batch_size}, "
        f"documents of {BODY_BYTES} bytes"
    )


def _servers(directory: Path) -> tuple[PostgresServer, Elasticsearch]:
    postgres = PostgresServer(directory / "postgres")
    postgres.start()
    own = directory / "elasticsearch"
    own.mkdir()
    elasticsearch = Elasticsearch(own)
    elasticsearch.start()
    return postgres, elasticsearch


async def _run(database_url: str, elasticsearch_url: str, documents: int) -> Measured:
    database = PostgresDatabase(database_url)
    await database.open()
    store = await open_documents(database)
    table = MetricsTable()
    metrics = IndexerMetrics(table)
    index = create_index(IndexerSettings(elasticsearch_url=elasticsearch_url), metrics.bulk)
    await index.open()
    try:
        names = await _stored(database, store, WARM_UP + documents)
        await _reconcile_all(store, index, metrics, names[:WARM_UP])
        warmed = _sent(table)
        started, cpu = time.perf_counter(), time.process_time()
        await _reconcile_all(store, index, metrics, names[WARM_UP:])
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
        await index.refresh()
        assert await index.count(DOCUMENTS_SOURCE) == len(names), "documents are missing"
        return Measured(documents, seconds, cpu, _sent(table) - warmed)
    finally:
        await index.close()
        await database.close()


def _sent(table: MetricsTable) -> float:
    sent = next(m for m in table.metrics if m.name == "indexer_bulk_bytes_total")
    return table.total(sent.cell().at)


async def _reconcile_all(
    store: DocumentStore, index: SearchIndex, metrics: IndexerMetrics, names: Sequence[str]
) -> None:
    """Work off batches in slots, as the pool does."""
    size = IndexerSettings().batch_size
    settler = BatchSettler(Reconciler(store, index), metrics, DOCUMENTS_SOURCE)
    processor = IndexDocument(settler, batch_size=size, linger_seconds=0.0)
    batches = iter([names[start : start + size] for start in range(0, len(names), size)])

    async def slot() -> None:
        for batch in batches:
            verdicts = await processor.process_batch([_execution(name) for name in batch])
            assert verdicts == [Done()] * len(batch), "documents were put off or refused"

    await asyncio.gather(*(slot() for _ in range(SLOTS)))


def _execution(name: str) -> Execution[DocumentJob]:
    job = Job(type=IndexDocument.job_type)
    return Execution(DocumentJob(document_id=name), Delivery(job=job, token=name))


async def _stored(database: PostgresDatabase, store: DocumentStore, documents: int) -> list[str]:
    chance = random.Random(5)
    words = [f"{chance.randrange(16**6):x}" for _ in range(_VOCABULARY)]
    # Zipf's law, as in any text: the word of rank n comes 1/n as often as the first.
    weights = list(accumulate(1 / rank for rank in range(1, _VOCABULARY + 1)))
    names = []
    for start in range(0, documents, _PUT_AT_ONCE):
        page = [
            _document(f"https://example.org/page/{number}", words, weights, chance)
            for number in range(start, min(start + _PUT_AT_ONCE, documents))
        ]
        async with database.transaction() as tx:
            await store.put(tx, page)
        names += [document.id for document in page]
    return names


def _document(
    name: str, words: Sequence[str], weights: Sequence[float], chance: random.Random
) -> DocumentWrite:
    text = " ".join(chance.choices(words, cum_weights=weights, k=BODY_BYTES // 5))
    fields = {"url": name, "title": text[:60], "language": "en", "text": ""}
    fields["text"] = text[60 : 60 + BODY_BYTES - len(msgspec.json.encode(fields))]
    body = msgspec.json.encode(fields)
    return DocumentWrite(name, body, sha256(body).digest()[:16])


if __name__ == "__main__":
    print(settings())
    print(msgspec.json.encode(measure(*map(int, sys.argv[1:]))).decode())
