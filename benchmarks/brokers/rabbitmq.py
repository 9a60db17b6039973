"""RabbitMQ on one quorum queue: aio-pika with an ack a message, and aiormq with none at all."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import aio_pika
import aiormq
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from aiormq.abc import DeliveredMessage

from benchmarks.brokers.contest import BATCH, PAYLOAD, Contest, parts
from tests.services.rabbitmq import RabbitMQ

_QUORUM: Any = {"x-queue-type": "quorum"}


class _Countdown:
    """Tells when so many messages have come."""

    def __init__(self, left: int) -> None:
        self._left = left
        self.finished = asyncio.Event()

    def one(self) -> None:
        self._left -= 1
        if not self._left:
            self.finished.set()


async def _acked(url: str, jobs: int) -> float:
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=BATCH)
        name, countdown = f"bare-{uuid4().hex[:8]}", _Countdown(jobs)
        queue = await channel.declare_queue(name, durable=True, arguments=_QUORUM)
        await _fill(channel, name, jobs)

        async def work(message: AbstractIncomingMessage) -> None:
            await message.ack()
            countdown.one()

        seconds = await _until(countdown, lambda: queue.consume(work))
        await queue.delete(if_unused=False, if_empty=False)
        return seconds


async def _unacked(url: str, jobs: int) -> float:
    name, countdown = f"bare-{uuid4().hex[:8]}", _Countdown(jobs)
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        await channel.declare_queue(name, durable=True, arguments=_QUORUM)
        await _fill(channel, name, jobs)
    async with aiormq.connect(url) as raw:
        bare = await raw.channel()

        async def work(_: DeliveredMessage) -> None:
            countdown.one()

        seconds = await _until(countdown, lambda: bare.basic_consume(name, work, no_ack=True))
        await bare.queue_delete(name)
        return seconds


async def _until(countdown: _Countdown, consume: Callable[[], Awaitable[object]]) -> float:
    started = time.perf_counter()
    await consume()
    await countdown.finished.wait()
    return time.perf_counter() - started


async def _fill(channel: AbstractChannel, name: str, jobs: int) -> None:
    message = aio_pika.Message(PAYLOAD, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
    publish = channel.default_exchange.publish
    for count in parts(jobs, 500):
        await asyncio.gather(*(publish(message, routing_key=name) for _ in range(count)))


CONTEST = Contest(
    server=RabbitMQ,
    jobs=10_000,
    settings="one node, quorum queue, publisher confirms",
    client="aio-pika, prefetch 200, an ack a message",
    bare=_acked,
    ceiling_is="aiormq without acks (no_ack): what was sent is lost in a crash",
    ceiling=_unacked,
    versions=("aio-pika", "aiormq"),
)
