"""The queue port on RabbitMQ beside the bare aio-pika client, on one quorum queue each.

`compare` publishes and works off the same number of no-op jobs in turn with both, and returns
jobs a second. The bare client is used as its documentation shows: a robust connection, publisher
confirms, a prefetch of the same size, one acknowledgement a message.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from uuid import uuid4

import aio_pika
import msgspec
from aio_pika.abc import AbstractIncomingMessage

from shared.jobs import Job
from shared.queue.factory import create_queue
from shared.queue.port import QueueSettings
from shared.verdicts import Done, Settlement

BATCH = 200
PUBLISH_BATCH = 500
PAYLOAD = b'{"document_id":"doc-0000000001","source":"documents","note":"%s"}' % (b"x" * 80)


class Figures(msgspec.Struct, frozen=True):
    """Jobs a second, to the last confirm or settlement."""

    client: str
    published: float
    worked_off: float


async def compare(url: str, jobs: int) -> Sequence[Figures]:
    """Measure both clients once, one after the other, on queues of their own."""
    name = f"bench-{uuid4().hex[:8]}"
    ours = await _ours(url, f"{name}-ours", jobs)
    bare = await _bare(url, f"{name}-bare", jobs)
    await _clean_up(url, f"{name}-ours")
    return ours, bare


async def _ours(url: str, name: str, jobs: int) -> Figures:
    queue = create_queue(QueueSettings(name=name), url)
    await queue.open("benchmark", ["noop"])
    started = time.perf_counter()
    for at in range(0, jobs, PUBLISH_BATCH):
        keys = range(at, min(jobs, at + PUBLISH_BATCH))
        await queue.publish([Job(type="noop", payload=PAYLOAD, key=str(key)) for key in keys])
    published = time.perf_counter() - started
    started, left, settled = time.perf_counter(), jobs, list[Settlement]()
    while left or settled:
        answer = await queue.exchange(settled, min(BATCH, left))
        settled = [Settlement(each, Done()) for each in answer.deliveries]
        left -= len(settled)
        if left and not settled:
            await queue.wait(1.0)
    worked_off = time.perf_counter() - started
    await queue.close()
    return Figures("worker-suite", jobs / published, jobs / worked_off)


async def _bare(url: str, name: str, jobs: int) -> Figures:
    connection = await aio_pika.connect_robust(url)
    async with connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=BATCH)
        queue = await channel.declare_queue(
            name, durable=True, arguments={"x-queue-type": "quorum"}
        )
        started = time.perf_counter()
        for at in range(0, jobs, PUBLISH_BATCH):
            count = min(jobs - at, PUBLISH_BATCH)
            await asyncio.gather(*(_publish(channel, name) for _ in range(count)))
        published = time.perf_counter() - started
        started, left, finished = time.perf_counter(), jobs, asyncio.Event()

        async def work(message: AbstractIncomingMessage) -> None:
            nonlocal left
            await message.ack()
            left -= 1
            if not left:
                finished.set()

        await queue.consume(work)
        await finished.wait()
        worked_off = time.perf_counter() - started
        await queue.delete(if_unused=False, if_empty=False)
    return Figures("aio-pika", jobs / published, jobs / worked_off)


async def _publish(channel: aio_pika.abc.AbstractChannel, name: str) -> None:
    message = aio_pika.Message(PAYLOAD, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
    await channel.default_exchange.publish(message, routing_key=name)


async def _clean_up(url: str, name: str) -> None:
    async with await aio_pika.connect_robust(url) as connection:
        channel = await connection.channel()
        for each in (name, f"{name}.suspects", f"{name}.dead"):
            await channel.queue_delete(each)
