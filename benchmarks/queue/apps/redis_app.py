"""Redis with redis-py alone: pops batches off a list, and loses what it holds when it is killed."""

from __future__ import annotations

import json
import sys

import redis.asyncio
import uvloop

from benchmarks.queue.apps.ledger import QUEUE, SLOTS, URL, Ledger, payload, to_publish

ledger = Ledger()


async def bare() -> None:
    """Pop and mark, until killed."""
    client = redis.asyncio.Redis.from_url(URL)
    while True:
        for body in await client.rpop(QUEUE, SLOTS) or ():
            ledger.start(json.loads(body)["n"])


async def publish() -> None:
    """Push."""
    client = redis.asyncio.Redis.from_url(URL)
    for numbers in to_publish(1000):
        await client.lpush(QUEUE, *(json.dumps(payload(n)) for n in numbers))
    await client.aclose()


if __name__ == "__main__":
    uvloop.run(bare() if sys.argv[1:] == ["bare"] else publish())
