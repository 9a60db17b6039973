"""Reads the dead-letter queue. RabbitMQ shows nothing without handing it out: so one exclusive
consumer takes all dead letters, and what stays dead is returned when it is done."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Any, cast

from aiormq.abc import AbstractChannel, DeliveredMessage
from aiormq.exceptions import ChannelAccessRefused

from shared.errors import ConnectionLostError
from shared.queue.administration import DeadLetterRecord
from shared.queue.port import InboxDecoder
from shared.queue.rabbitmq.session import Session
from shared.queue.rabbitmq.stored_job import dead_letter

MOST_LETTERS = 0xFFFF
"""So many are read at once, the oldest; a channel can hold no more."""
POLL_SECONDS = 0.01
POLLS = 3000
BACK_POLLS = 100


class Letters:
    """The dead letters that one exclusive consumer holds, oldest first."""

    def __init__(
        self,
        channel: AbstractChannel,
        messages: Collection[DeliveredMessage],
        decoder: InboxDecoder,
    ) -> None:
        self._channel = channel
        read = [(_read(message, decoder), cast(int, message.delivery_tag)) for message in messages]
        read.sort(key=lambda each: each[0].died_at)
        self.records = [record for record, _ in read]
        self._tags = {id(record): tag for record, tag in read}

    def with_keys(self, keys: Collection[str]) -> list[DeadLetterRecord]:
        """Return the letters of these keys."""
        wanted = set(keys)
        return [each for each in self.records if each.key in wanted]

    async def remove(self, records: Collection[DeadLetterRecord]) -> None:
        """Take letters off the queue for good."""
        for each in records:
            await self._channel.basic_ack(self._tags.pop(id(each)), wait=False)
        await self._channel.basic_qos()  # its answer comes after all were heard

    async def give_back(self) -> int:
        """Return all others to the queue; say how many."""
        for tag in sorted(self._tags.values()):
            await self._channel.basic_nack(tag, requeue=True, wait=False)
        await self._channel.basic_qos()
        return len(self._tags)


@asynccontextmanager
async def dead_letters(session: Session, decoder: InboxDecoder) -> AsyncIterator[Letters]:
    """Hold every dead letter; those that are not removed go back at the end, however it ends."""
    messages: list[DeliveredMessage] = []
    channel, consumer = await _consumed(session, messages)
    try:
        await _until_sent(session, messages)
        await channel.basic_qos()  # what was sent before its answer is here now
        await asyncio.sleep(0)
        letters = Letters(channel, messages, decoder)
        yield letters
        await channel.basic_cancel(consumer)
        await _until_back(session, await letters.give_back())
    finally:
        await channel.close()


async def _consumed(
    session: Session, messages: list[DeliveredMessage]
) -> tuple[AbstractChannel, str]:
    """Consume the queue alone; waits for another administration that does."""

    async def keep(message: DeliveredMessage) -> None:
        messages.append(message)

    while True:
        channel = await session.channel()
        await channel.basic_qos(prefetch_count=MOST_LETTERS)
        try:
            answer = await channel.basic_consume(session.names.dead, keep, exclusive=True)
        except ChannelAccessRefused:
            await asyncio.sleep(POLL_SECONDS)
            continue
        return channel, str(answer.consumer_tag)


async def _until_sent(session: Session, messages: Collection[DeliveredMessage]) -> None:
    """Wait until the queue is empty, or the channel full."""
    for _ in range(POLLS):
        if not await session.count(session.names.dead) or len(messages) >= MOST_LETTERS:
            return
        await asyncio.sleep(POLL_SECONDS)
    raise ConnectionLostError("RabbitMQ sends the dead letters too slowly: try again")


async def _until_back(session: Session, count: int) -> None:
    """Wait until the queue shows what was returned, unless somebody takes it first."""
    for _ in range(BACK_POLLS):
        if await session.count(session.names.dead) >= count:
            return
        await asyncio.sleep(POLL_SECONDS)


def _read(message: DeliveredMessage, decoder: InboxDecoder) -> DeadLetterRecord:
    properties = message.header.properties
    headers = cast(dict[str, Any], properties.headers or {})
    return dead_letter(message.body, properties.content_type, headers, decoder)
