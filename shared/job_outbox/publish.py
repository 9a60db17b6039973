"""Publishes jobs in the caller's own Postgres transaction.

The job is there exactly when the transaction's other writes are. From other languages, or from
SQL: `SELECT worker_suite.publish_job('mail:jobs', 'send', '{"to": 7}')`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

import msgspec

from shared.jobs import Job
from shared.postgres.migrations import LendsConnections, migrate

_INSERT = """
INSERT INTO worker_suite.job_outbox (queue, job)
SELECT $1, job FROM unnest($2::jsonb[]) WITH ORDINALITY AS given (job, at) ORDER BY at
"""


class Executes(Protocol):
    """A connection of asyncpg, inside the caller's transaction."""

    async def execute(self, query: str, *args: Any) -> str:
        """Run a statement."""
        ...


async def open_job_outbox(database: LendsConnections) -> None:
    """Create or update the tables of the outbox. Raises as `migrate`."""
    await migrate(database, "job_outbox", Path(__file__).parent / "migrations")


async def publish_in(connection: Executes, queue: str, jobs: Sequence[Job]) -> Sequence[str]:
    """Publish jobs when the transaction that is open on this connection commits; return the keys.

    They reach the queue once a JobRelay has taken them there, each at least once.
    """
    keyed = [job if job.key else msgspec.structs.replace(job, key=uuid4().hex) for job in jobs]
    await connection.execute(_INSERT, queue, [msgspec.json.encode(job).decode() for job in keyed])
    return [job.key for job in keyed]
