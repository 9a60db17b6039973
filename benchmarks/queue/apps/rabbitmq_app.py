"""RabbitMQ quorum queues with faststream, and `bare` with aio-pika alone: prefetch, joint acks."""

from __future__ import annotations

import asyncio
import json
import sys

import aio_pika
from aio_pika.abc import AbstractIncomingMessage
from faststream import FastStream
from faststream.rabbit import Channel, QueueType, RabbitBroker, RabbitQueue

from benchmarks.queue.apps.ledger import QUEUE, SLOTS, URL, Ledger, payload, to_publish

PREFETCH = 1000
ACK_SECONDS = 0.005
broker = RabbitBroker(URL, logger=None, default_channel=Channel(prefetch_count=SLOTS))
app = FastStream(broker, logger=None)
ledger = Ledger()


@broker.subscriber(RabbitQueue(QUEUE, queue_type=QueueType.QUORUM, durable=True))
async def noop(job: dict[str, object]) -> None:
    """Do one job."""
    await ledger.run(job["n"], job["sleep_ms"])  # type: ignore[arg-type]


async def bare() -> None:
    """Mark what comes, and acknowledge all of it now and then, until killed."""
    channel = await (await aio_pika.connect(URL)).channel()
    await channel.set_qos(prefetch_count=PREFETCH)
    queue = await channel.declare_queue(QUEUE, passive=True)
    came: list[AbstractIncomingMessage] = []

    async def mark(message: AbstractIncomingMessage) -> None:
        ledger.start(json.loads(message.body)["n"])
        came.append(message)

    await queue.consume(mark)
    while True:
        await asyncio.sleep(ACK_SECONDS)
        if came:
            await came[-1].ack(multiple=True)
            came.clear()


async def publish() -> None:
    """Publish persistent messages and wait for their confirmations."""
    connection = await aio_pika.connect(URL)
    channel = await connection.channel(publisher_confirms=True)
    await channel.declare_queue(QUEUE, durable=True, arguments={"x-queue-type": "quorum"})
    for numbers in to_publish(500):
        messages = (
            aio_pika.Message(
                json.dumps(payload(n)).encode(),
                content_type="application/json",
                delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            )
            for n in numbers
        )
        await asyncio.gather(
            *(channel.default_exchange.publish(each, routing_key=QUEUE) for each in messages)
        )
    await connection.close()


if __name__ == "__main__":
    asyncio.run(bare() if sys.argv[1:] == ["bare"] else publish())
