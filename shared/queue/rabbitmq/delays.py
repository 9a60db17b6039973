"""Delay queues: made when first needed, and found again by the marks they leave.

RabbitMQ lists no queues to its clients, and asking for one that is missing costs a channel and a
line in the server's log. So each delay queue leaves a binding with its number between two
exchanges; who wants to know publishes all numbers, and gets back those that were let through.
They are never deleted: while a message waits nothing may be, and an expiring quorum queue is not
kept alive by declaring it again (rabbitmq.com/docs/quorum-queues, "Feature Matrix").
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from aiormq.abc import AbstractChannel, DeliveredMessage

from shared.errors import ConnectionLostError
from shared.queue.rabbitmq.topology import DELIVERY_LIMIT, Names, buckets, quorum_arguments

_LAST = "last"


async def make_delay_queue(channel: AbstractChannel, names: Names, longest_ms: int) -> None:
    """Declare the queue whose messages go back to work when their time is over, and its mark."""
    await _declare_exchanges(channel, names)
    await channel.queue_declare(
        names.delay(longest_ms),
        durable=True,
        arguments=dict(quorum_arguments(DELIVERY_LIMIT, names.work)),
    )
    await channel.exchange_bind(names.delay_list, names.delays, str(longest_ms))


async def delay_queues(channel: AbstractChannel, names: Names) -> Sequence[int]:
    """Return the longest delays, in ms, of the delay queues that exist."""
    await _declare_exchanges(channel, names)
    answer = (await channel.queue_declare("", exclusive=True, auto_delete=True)).queue or ""
    await channel.queue_bind(answer, names.delay_list)
    found: list[int] = []
    complete = asyncio.Event()

    async def hear(message: DeliveredMessage) -> None:
        if message.body:
            complete.set()
        else:
            found.append(int(message.routing_key or "0"))

    consumer = await channel.basic_consume(answer, hear, no_ack=True)
    for longest in buckets():
        await channel.basic_publish(b"", exchange=names.delays, routing_key=str(longest))
    await channel.basic_publish(_LAST.encode(), routing_key=answer)
    await _unless_closed(channel, complete)
    await channel.basic_cancel(consumer.consumer_tag or "")  # and the queue goes with it
    return sorted(found)


async def _unless_closed(channel: AbstractChannel, complete: asyncio.Event) -> None:
    waiting = asyncio.create_task(complete.wait())
    try:
        await asyncio.wait([waiting, channel.closing], return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
    if not complete.is_set():
        raise ConnectionLostError("RabbitMQ closed the connection before it had listed the delays")


async def _declare_exchanges(channel: AbstractChannel, names: Names) -> None:
    await channel.exchange_declare(names.delays, exchange_type="direct", durable=True)
    await channel.exchange_declare(names.delay_list, exchange_type="fanout", durable=True)
