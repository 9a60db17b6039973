"""faststream on a Redis stream with a consumer group, since its lists acknowledge nothing."""

from __future__ import annotations

import asyncio

from faststream import FastStream
from faststream.redis import RedisBroker, StreamSub
from redis.asyncio import Redis

from benchmarks.queue.apps.ledger import QUEUE, SLOTS, URL, Ledger, payload, to_publish

broker = RedisBroker(URL, logger=None)
app = FastStream(broker, logger=None)
ledger = Ledger()
STREAM = StreamSub(QUEUE, group="bench", consumer="bench", max_records=100, last_id=">")
ABANDONED = StreamSub(QUEUE, group="bench", consumer="claims", min_idle_time=10_000)


@broker.subscriber(stream=ABANDONED)
@broker.subscriber(stream=STREAM, max_workers=SLOTS)
async def noop(job: dict[str, object]) -> None:
    """Do one job."""
    await ledger.run(job["n"], job["sleep_ms"])  # type: ignore[arg-type]


async def main() -> None:
    """Publish, to a group that reads from the start."""
    async with Redis.from_url(URL) as redis:
        if not await redis.exists(QUEUE):
            await redis.xgroup_create(QUEUE, "bench", id="0", mkstream=True)
    async with RedisBroker(URL, logger=None) as producer:
        for numbers in to_publish(100):
            await asyncio.gather(*(producer.publish(payload(n), stream=QUEUE) for n in numbers))


if __name__ == "__main__":
    asyncio.run(main())
