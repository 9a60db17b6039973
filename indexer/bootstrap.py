"""Wires worker-indexer: the only place that builds its adapters."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import msgspec

from indexer.metrics import IndexerMetrics
from indexer.processors.delete_document import DeleteDocument
from indexer.processors.index_document import IndexDocument
from indexer.processors.settle_batch import BatchSettler
from indexer.reconcile import Reconciler
from indexer.search.factory import adapter_of as index_adapter_of
from indexer.search.factory import create_index
from indexer.search.port import SearchIndex
from indexer.settings import IndexerSettings
from shared.contracts.jobs import DELETE_DOCUMENT, INDEX_DOCUMENT, DocumentJob
from shared.documents.factory import open_documents
from shared.documents.port import DocumentStore
from shared.errors import ConfigError
from shared.observability.metrics import MetricsTable
from shared.pool.metrics import PoolMetrics
from shared.pool.processor import BatchProcessor
from shared.pool.queue_depth import QueueDepthProbe, QueueMetrics
from shared.pool.settings import PoolSettings
from shared.pool.worker_pool import WorkerPool
from shared.postgres.database import PostgresDatabase
from shared.queue.factory import adapter_of as queue_adapter_of
from shared.queue.factory import create_queue
from shared.queue.port import Queue, QueueSettings
from shared.supervisor.worker import ProcessContext, WorkerParts, run_worker

KIND = "indexer"
JOB_TYPES = (INDEX_DOCUMENT, DELETE_DOCUMENT)
PRELOAD = ("shared.documents.postgres",)
_MOST_CONNECTIONS = 10


class Parts(msgspec.Struct, frozen=True):
    """What the commands work on."""

    store: DocumentStore
    index: SearchIndex


def run(settings: IndexerSettings) -> int:
    """Run the worker until it is told to stop; return its exit code."""
    _check(settings)
    table = MetricsTable()
    metrics = IndexerMetrics(table)
    pool_metrics = PoolMetrics(table, JOB_TYPES)
    queue_metrics = QueueMetrics(table, [settings.queue_key])
    build = partial(_build, settings, metrics, pool_metrics, queue_metrics)
    preload = [*PRELOAD, queue_adapter_of(settings.broker()), index_adapter_of(settings)]
    return run_worker(KIND, settings, table, build, preload=preload)


def queue_of(settings: IndexerSettings) -> Queue:
    """Return the queue of document jobs, not opened."""
    return create_queue(
        QueueSettings(name=settings.queue_key, lease_seconds=settings.lease_seconds),
        settings.broker(),
        allow_eviction=settings.allow_eviction,
    )


@asynccontextmanager
async def opened(settings: IndexerSettings) -> AsyncIterator[Parts]:
    """Open the document store and the index for a command."""
    _check(settings)
    database = PostgresDatabase(settings.database_url, max_connections=_MOST_CONNECTIONS)
    await database.open()
    try:
        async with opened_index(settings) as index:
            yield Parts(store=await open_documents(database), index=index)
    finally:
        await database.close()


@asynccontextmanager
async def opened_index(settings: IndexerSettings) -> AsyncIterator[SearchIndex]:
    """Open the index alone."""
    index = create_index(settings, _uncounted)
    try:
        await index.open()
        yield index
    finally:
        await index.close()


async def _build(
    settings: IndexerSettings,
    metrics: IndexerMetrics,
    pool_metrics: PoolMetrics,
    queue_metrics: QueueMetrics,
    _: ProcessContext,
) -> WorkerParts:
    database = PostgresDatabase(
        settings.database_url, max_connections=min(settings.workers, _MOST_CONNECTIONS)
    )
    index = create_index(settings, metrics.bulk)
    queue = queue_of(settings)

    async def close() -> None:
        await queue.close()
        await index.close()
        await database.close()

    try:
        await database.open()
        store = await open_documents(database)
        await index.open()
        await queue.open(KIND, JOB_TYPES)
    except BaseException:
        await close()
        raise
    return WorkerParts(
        pools=[_pool(settings, queue, store, index, metrics, pool_metrics)],
        services=[QueueDepthProbe(settings.queue_key, queue.depth, queue_metrics)],
        probes={
            "queue": queue.depth,
            "documents": store.sources,
            "index": index.generations,
        },
        close=close,
    )


def _pool(
    settings: IndexerSettings,
    queue: Queue,
    store: DocumentStore,
    index: SearchIndex,
    metrics: IndexerMetrics,
    pool_metrics: PoolMetrics,
) -> WorkerPool:
    settler = BatchSettler(Reconciler(store, index), metrics, settings.default_source)
    size, linger = settings.batch_size, settings.linger_seconds
    processors: list[BatchProcessor[DocumentJob]] = [
        IndexDocument(settler, batch_size=size, linger_seconds=linger),
        DeleteDocument(settler, metrics, batch_size=size, linger_seconds=linger),
    ]
    return WorkerPool(
        queue,
        processors,
        settings=PoolSettings(workers=settings.workers, grace_seconds=settings.grace_seconds),
        metrics=pool_metrics,
    )


def _check(settings: IndexerSettings) -> None:
    if not settings.database_url:
        raise ConfigError("DATABASE_URL is not set: documents are read from Postgres")


def _uncounted(size: int, seconds: float) -> None:
    """Commands serve no metrics."""
