"""NATS JetStream with faststream, and `bare` with nats-py alone: batches, and nothing around."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import suppress

import nats
from faststream import FastStream
from faststream.nats import JStream, NatsBroker, PullSub
from nats.js.api import RetentionPolicy

from benchmarks.queue.apps.ledger import QUEUE, SLOTS, URL, Ledger, payload, to_publish

BATCH = 500
broker = NatsBroker(URL, logger=None)
app = FastStream(broker, logger=None)
ledger = Ledger()


@broker.subscriber(
    QUEUE,
    stream=JStream(QUEUE, declare=False),
    durable="bench",
    pull_sub=PullSub(batch_size=BATCH),
    max_workers=SLOTS,
)
async def noop(job: dict[str, object]) -> None:
    """Do one job."""
    await ledger.run(job["n"], job["sleep_ms"])  # type: ignore[arg-type]


async def bare() -> None:
    """Fetch, mark, acknowledge, until killed."""
    stream = (await nats.connect(URL)).jetstream()
    subscription = await stream.pull_subscribe(QUEUE, durable="bench")
    while True:
        with suppress(nats.errors.TimeoutError):
            for message in await subscription.fetch(BATCH, timeout=5):
                ledger.start(json.loads(message.data)["n"])
                await message.ack()


async def publish() -> None:
    """Publish to a stream that forgets what was acknowledged."""
    client = await nats.connect(URL)
    stream = client.jetstream()
    await stream.add_stream(name=QUEUE, subjects=[QUEUE], retention=RetentionPolicy.WORK_QUEUE)
    for numbers in to_publish(BATCH):
        bodies = (json.dumps(payload(n)).encode() for n in numbers)
        await asyncio.gather(*(stream.publish(QUEUE, body) for body in bodies))
    await client.close()


if __name__ == "__main__":
    asyncio.run(bare() if sys.argv[1:] == ["bare"] else publish())
