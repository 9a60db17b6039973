"""How much waits where, for workers and for people."""

from __future__ import annotations

import redis.asyncio

from shared.queue.port import QueueDepth
from shared.queue.redis.keys import QueueKeys
from shared.redis.script import Script

_depth = Script(
    "shared.queue.redis", "prelude.lua", "waiting.lua", "paused.lua", "lanes.lua", "depth.lua"
)


async def depth_of(client: redis.asyncio.Redis, keys: QueueKeys) -> QueueDepth:
    """Return the depth of the queue with these keys; errors are those of the client."""
    names = [
        keys.inbox, keys.intake, keys.delayed, keys.leases, keys.dead, keys.jobs,
        keys.suspects, *keys.ready, keys.prefix,
    ]  # fmt: skip
    inbox, ready, delayed, leased, dead, age = await _depth.run(client, names, [])
    return QueueDepth(
        inbox=inbox,
        ready=ready,
        delayed=delayed,
        leased=leased,
        dead=dead,
        oldest_ready_age_seconds=None if age < 0 else age / 1000.0,
    )
