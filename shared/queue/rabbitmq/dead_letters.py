"""Reads the dead-letter queue. RabbitMQ shows nothing without handing it out: so one consumer at
a time takes all dead letters, and what stays dead is returned when it is done."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Any, cast

from aiormq.abc import AbstractChannel, DeliveredMessage
from aiormq.exceptions import ChannelLockedResource

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
    """The dead letters that one consumer holds, oldest first."""

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

    @property
    def kept(self) -> int:
        """How many were not removed."""
        return len(self._tags)


@asynccontextmanager
async def dead_letters(session: Session, decoder: InboxDecoder) -> AsyncIterator[Letters]:
    """Hold every dead letter; those that are not removed go back at the end, however it ends."""
    async with _alone(session):
        messages: list[DeliveredMessage] = []

        async def keep(message: DeliveredMessage) -> None:
            messages.append(message)

        channel = await session.channel()
        kept = 0
        try:
            await channel.basic_qos(prefetch_count=MOST_LETTERS)
            await channel.basic_consume(session.names.dead, keep)
            await _until_sent(session, messages)
            await channel.basic_qos()  # what was sent before its answer is here now
            await asyncio.sleep(0)
            letters = Letters(channel, messages, decoder)
            yield letters
            kept = letters.kept
        finally:
            await channel.close()  # which returns the letters, in their order
        await _until_back(session, kept)


@asynccontextmanager
async def _alone(session: Session) -> AsyncIterator[None]:
    """Wait until no other connection looks at the dead letters, and keep the others out."""
    while True:
        channel = await session.channel()
        try:
            await channel.queue_declare(session.names.lock, exclusive=True)
            break
        except ChannelLockedResource:
            await asyncio.sleep(POLL_SECONDS)
    try:
        yield
    finally:
        await channel.queue_delete(session.names.lock)
        await channel.close()


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
