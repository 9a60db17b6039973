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
    lanes=False,
    results=False,
    why=_WHY,
)
