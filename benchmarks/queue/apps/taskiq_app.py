"""taskiq on Redis streams, the broker of its that acknowledges."""

from __future__ import annotations

import asyncio

from taskiq_redis import RedisStreamBroker

from benchmarks.queue.apps.ledger import QUEUE, URL, Ledger, payload, to_publish

broker = RedisStreamBroker(
    URL, queue_name=QUEUE, consumer_id="0", idle_timeout=10_000, unacknowledged_lock_timeout=10
)
ledger = Ledger()


@broker.task(task_name="noop")
async def noop(job: dict[str, object]) -> None:
    """Do one job."""
    await ledger.run(job["n"], job["sleep_ms"])  # type: ignore[arg-type]


async def main() -> None:
    """Publish."""
    await broker.startup()
    for numbers in to_publish(100):
        await asyncio.gather(*(noop.kiq(payload(n)) for n in numbers))
    await broker.shutdown()


if __name__ == "__main__":
    asyncio.run(main())
