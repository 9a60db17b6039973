"""How much waits where."""

from __future__ import annotations

from shared.queue.port import QueueDepth
from shared.queue.postgres.session import Session
from shared.queue.postgres.sql import statement

_DEPTH = statement("depth")


async def depth_of(session: Session, name: str) -> QueueDepth:
    """Count a queue's jobs by state."""
    row = await session.fetchrow(_DEPTH, name)
    return QueueDepth(
        inbox=row["inbox"],
        ready=row["ready"],
        delayed=row["delayed"],
        leased=row["leased"],
        dead=row["dead"],
        oldest_ready_age_seconds=None if row["age"] is None else max(0.0, row["age"]),
    )
