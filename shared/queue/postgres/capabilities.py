"""What the Postgres adapter can do."""

from __future__ import annotations

from shared.queue.port import Capabilities

_WHY = {
    "lanes": "SKIP LOCKED hands out whatever row is free; how many rows of one lane run together "
    "is no part of it (PostgreSQL docs, SELECT, the locking clause), and this adapter does not "
    "count them",
    "results": "this adapter deletes a job with its settlement and keeps no result: a processor "
    "can write to the same database itself",
}

CAPABILITIES = Capabilities(
    idempotent_publish=True,
    fence=True,
    crash_count=True,
    free_snooze=True,
    priority=True,
    deduplication=True,
    dedup_window=True,
    replace=True,
    lanes=False,
    lease_per_message=True,
    out_of_order_settlement=True,
    cancel=True,
    pause=True,
    pause_type=True,
    listing=True,
    results=False,
    schedules=True,
    oldest_ready_age=True,
    why=_WHY,
)
