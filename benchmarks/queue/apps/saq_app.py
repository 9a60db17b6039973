"""saq on Redis."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from saq import Queue

from benchmarks.queue.apps.ledger import QUEUE, SLOTS, URL, Ledger, payload, to_publish

ledger = Ledger()
queue = Queue.from_url(
    URL, name=QUEUE, dump=msgspec.json.encode, load=msgspec.json.decode, max_concurrent_ops=SLOTS
)


async def noop(_: dict[str, Any], *, job: dict[str, int]) -> None:
    """Do one job."""
    await ledger.run(job["n"], job["sleep_ms"])


settings = {
    "queue": queue,
    "functions": [noop],
    "concurrency": SLOTS,
    "timers": {"sweep": 5},
}


async def main() -> None:
    """Publish."""
    await queue.connect()
    for numbers in to_publish(20):
        jobs = (
            queue.enqueue("noop", job=payload(n), ttl=-1, timeout=5, retries=3) for n in numbers
        )
        await asyncio.gather(*jobs)
    await queue.disconnect()


if __name__ == "__main__":
    asyncio.run(main())
