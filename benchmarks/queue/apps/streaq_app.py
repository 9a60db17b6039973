"""streaq."""

from __future__ import annotations

import asyncio

from streaq import Worker

from benchmarks.queue.apps.ledger import QUEUE, SLOTS, URL, Ledger, payload, to_publish

worker: Worker[None] = Worker(redis_url=URL, queue_name=QUEUE, concurrency=SLOTS, idle_timeout=10)
ledger = Ledger()


@worker.task(ttl=0)
async def noop(job: dict[str, int]) -> None:
    """Do one job."""
    await ledger.run(job["n"], job["sleep_ms"])


async def main() -> None:
    """Publish."""
    async with worker:
        for numbers in to_publish(500):
            await worker.enqueue_many([noop.enqueue(payload(n)) for n in numbers])


if __name__ == "__main__":
    asyncio.run(main())
