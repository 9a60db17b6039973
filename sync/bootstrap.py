"""Wires worker-sync: the only place that builds its adapters."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from shared.documents.factory import open_documents
from shared.errors import ConfigError
from shared.job_outbox.publish import open_job_outbox
from shared.job_outbox.relay import JobRelay
from shared.observability.metrics import MetricsTable
from shared.postgres.database import PostgresDatabase
from shared.queue.factory import adapter_of, check_broker, create_queue
from shared.queue.port import Queue, QueueSettings
from shared.supervisor.worker import ProcessContext, WorkerParts, run_worker
from sync.metrics import SyncMetrics
from sync.outbox_watch import OutboxWatch
from sync.relay import Relay
from sync.settings import SyncSettings
from sync.sources.outbox import OutboxSource
from sync.sources.port import QueueIdentity
from sync.targets.index_jobs import IndexJobs

KIND = "sync"
PRELOAD = ("shared.documents.postgres",)
_CONNECTIONS = 4


def run(settings: SyncSettings) -> int:
    """Run the worker until it is told to stop; return its exit code."""
    check(settings)
    table = MetricsTable()
    build = partial(_build, settings, SyncMetrics(table))
    preload = [*PRELOAD, adapter_of(settings.broker())]
    return run_worker(KIND, settings, table, build, preload=preload)


def check(settings: SyncSettings) -> None:
    """Raise ConfigError for settings that cannot work together."""
    if not settings.database_url:
        raise ConfigError(
            "DATABASE_URL is not set: worker-sync reads its changes from Postgres;"
            " expected postgresql://user:password@host:port/database"
        )


@asynccontextmanager
async def opened_database(settings: SyncSettings) -> AsyncIterator[PostgresDatabase]:
    """Open the database, with the tables of the documents and the outbox."""
    check(settings)
    database = PostgresDatabase(settings.database_url, max_connections=_CONNECTIONS)
    await database.open()
    try:
        await open_documents(database)
        yield database
    finally:
        await database.close()


def outbox_of(database: PostgresDatabase) -> OutboxSource:
    """Return the outbox of a database, to look at it."""
    return OutboxSource(database)


async def _build(settings: SyncSettings, metrics: SyncMetrics, _: ProcessContext) -> WorkerParts:
    database = PostgresDatabase(settings.database_url, max_connections=_CONNECTIONS)
    source = OutboxSource(
        database,
        replay_window_seconds=settings.replay_window_seconds,
        publish_seconds=settings.publish_seconds,
    )
    queue = _queue(settings, settings.queue_key)
    job_queues = {name: _queue(settings, name) for name in settings.job_queues()}

    async def identify() -> QueueIdentity:
        return QueueIdentity(settings.queue_key, await queue.incarnation())

    async def close() -> None:
        await source.close()
        for each in (queue, *job_queues.values()):
            await each.close()
        await database.close()

    try:
        await database.open()
        store = await open_documents(database)
        await open_job_outbox(database)
        await check_broker(settings.broker(), allow_eviction=settings.allow_eviction)
    except BaseException:
        await close()
        raise
    relay = Relay(
        source,
        IndexJobs(queue, metrics).publish,
        identify,
        metrics,
        batch=settings.relay_batch,
        poll_seconds=settings.poll_seconds,
    )
    job_relays = [
        JobRelay(database, name, each, replay_window_seconds=settings.replay_window_seconds)
        for name, each in job_queues.items()
    ]
    return WorkerParts(
        services=[relay, OutboxWatch(source.depth, metrics), *job_relays],
        probes={"queue": queue.depth, "documents": store.sources},
        close=close,
    )


def _queue(settings: SyncSettings, name: str) -> Queue:
    return create_queue(
        QueueSettings(name=name, lease_seconds=settings.lease_seconds),
        settings.broker(),
        allow_eviction=settings.allow_eviction,
    )
