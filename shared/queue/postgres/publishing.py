"""Publishing, also inside the caller's own transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import msgspec

from shared.jobs import Job
from shared.queue.port import Published, needs_of_job, require
from shared.queue.postgres.capabilities import CAPABILITIES
from shared.queue.postgres.sql import statement
from shared.queue.postgres.stored_job import encode_body

PUBLISH = statement("publish")


def keyed(jobs: Sequence[Job]) -> Sequence[Job]:
    """Give a key to those that come without, once: a publish may have to be repeated.

    Raises ConfigError for a job that asks for what this adapter cannot do.
    """
    for job in jobs:
        require(CAPABILITIES, *needs_of_job(job))
    return [job if job.key else msgspec.structs.replace(job, key=uuid4().hex) for job in jobs]


async def publish_in(connection: Any, queue: str, jobs: Sequence[Job]) -> Published:
    """Publish on a connection of asyncpg; in its open transaction, if it has one.

    The jobs are there exactly when the transaction's other writes are: a job that needs no other
    broker needs no outbox. The tables must exist: a worker or a producer of any queue in this
    database makes them as it connects. Errors are the client's own.
    """
    jobs = keyed(jobs)
    accepted = await connection.fetchval(PUBLISH, queue, *columns_of(jobs)) if jobs else 0
    return Published(accepted, len(jobs) - accepted)


def columns_of(jobs: Sequence[Job]) -> tuple[Any, ...]:
    """Return the arguments of the statement, after the queue's name: an array a column."""
    twins = any(job.dedup_key for job in jobs)
    return (
        [job.key.encode() for job in jobs],
        [job.type.encode() for job in jobs],
        [encode_body(job) for job in jobs],
        [int(job.priority) for job in jobs],
        [max(0.0, job.delay_seconds) for job in jobs],
        [job.dedup_key.encode() or None for job in jobs] if twins else None,
        [job.dedup_window_seconds for job in jobs] if twins else None,
        [job.replace for job in jobs] if twins else None,
    )
