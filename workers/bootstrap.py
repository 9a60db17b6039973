"""Builds what the `workers` command itself talks to; the only place here that chooses adapters."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from shared.config import load
from shared.errors import ConfigError
from shared.queue.administration import QueueAdmin
from shared.queue.factory import (
    create_queue,
    create_queue_admin,
    create_schedule_store,
    look_at_broker,
)
from shared.queue.port import Queue, QueueSettings
from shared.queue.schedules import ScheduleStore
from shared.queue.server_report import ServerReport
from shared.settings import WorkerSettings

if TYPE_CHECKING:
    from indexer.search.port import SearchIndex
    from workers.progress import Observer


@asynccontextmanager
async def open_observer(
    environment: Mapping[str, str],
) -> AsyncIterator[tuple[Observer, SearchIndex]]:
    """Connect to the servers of workers that run with this environment on top of ours."""
    from indexer.search.factory import create_index
    from indexer.settings import IndexerSettings
    from shared.postgres.database import PostgresDatabase
    from workers.progress import Observer

    environ = {**os.environ, **environment}
    settings = load(IndexerSettings, flags={}, environ=environ).settings
    connection = await PostgresDatabase(settings.database_url).dedicated_connection()
    queue = create_queue(QueueSettings(name=settings.queue_key), settings.broker())
    index = create_index(settings, on_bulk=_unwatched)
    try:
        await index.open()
        yield Observer(connection, queue, index), index
    finally:
        await index.close()
        await queue.close()
        await connection.close()


@asynccontextmanager
async def open_queue_admin(settings: QueueSettings) -> AsyncIterator[QueueAdmin]:
    """Reach a queue on the environment's broker.

    Raises ConfigError for an impossible name, and for memory://, which no other process reaches."""
    admin = create_queue_admin(settings, _broker())
    try:
        yield admin
    finally:
        await admin.close()


@asynccontextmanager
async def open_queue(settings: QueueSettings) -> AsyncIterator[Queue]:
    """Reach a queue as a producer. Raises as `open_queue_admin`."""
    queue = create_queue(settings, _broker())
    try:
        yield queue
    finally:
        await queue.close()


@asynccontextmanager
async def open_schedules(settings: QueueSettings) -> AsyncIterator[ScheduleStore]:
    """Reach the periodic jobs of a queue. Raises as `open_queue_admin`."""
    store = create_schedule_store(settings, _broker())
    try:
        yield store
    finally:
        await store.close()


async def broker_report(url: str) -> ServerReport:
    """See look_at_broker."""
    return await look_at_broker(url)


def _broker() -> str:
    url = load(WorkerSettings, flags={}, environ=os.environ).settings.broker()
    if url.startswith("memory:"):
        raise ConfigError(
            "QUEUE_URL=memory:// is a queue inside of one process, which no other can reach; "
            "set it to the broker of the worker that you mean"
        )
    return url


def _unwatched(_bytes: int, _seconds: float) -> None:
    """Nothing is written from here."""
