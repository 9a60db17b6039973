"""What the Redis adapter can do."""

from __future__ import annotations

from shared.queue.port import Capabilities

CAPABILITIES = Capabilities(
    idempotent_publish=True,
    fence=True,
    crash_count=True,
    free_snooze=True,
    priority=True,
    deduplication=True,
    dedup_window=True,
    replace=True,
    lanes=True,
    lease_per_message=True,
    out_of_order_settlement=True,
    cancel=True,
    pause=True,
    pause_type=True,
    listing=True,
    results=True,
    schedules=True,
    oldest_ready_age=True,
)
