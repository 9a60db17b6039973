"""Reads the dead-letter queue. RabbitMQ shows nothing without handing it out: so one consumer at
a time takes all dead letters, and what stays dead is returned when it is done."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Any, cast

from aiormq.abc import AbstractChannel, DeliveredMessage
from aiormq.exceptions import ChannelLockedResource

from shared.errors import DependencyError
from shared.queue.administration import DeadLetterRecord
from shared.queue.port import InboxDecoder
from shared.queue.rabbitmq.patience import heard
from shared.queue.rabbitmq.session import Session
from shared.queue.rabbitmq.stored_job import dead_letter

LETTERS_PER_CHANNEL = 5_000
"""A channel could hold 65,535; the queue answers nothing else while it sends them."""
LOCK_SECONDS = 60.0
POLL_SECONDS = 0.01
BACK_POLLS = 100


class Letters:
    """All dead letters, oldest first, held by one consumer."""

    def __init__(self, messages: Collection[DeliveredMessage], decoder: InboxDecoder) -> None:
        read = [(_read(message, decoder), message) for message in messages]
        read.sort(key=lambda each: each[0].died_at)
        self.records = [record for record, _ in read]
        self._messages = {id(record): message for record, message in read}

    def with_keys(self, keys: Collection[str]) -> list[DeadLetterRecord]:
        """Return the letters of these keys."""
        wanted = set(keys)
        return [each for each in self.records if each.key in wanted]

    async def remove(self, records: Collection[DeadLetterRecord]) -> None:
        """Take letters off the queue for good."""
        tags: dict[AbstractChannel, list[int]] = {}
        for each in records:
            message = self._messages.pop(id(each))
            tags.setdefault(message.channel, []).append(cast(int, message.delivery_tag))
        for channel, acknowledged in tags.items():
            for tag in acknowledged:
                await channel.basic_ack(tag, wait=False)
            await channel.basic_qos()  # its answer comes after all were heard
            heard()

    @property
    def kept(self) -> int:
        """How many were not removed."""
        return len(self._messages)


@asynccontextmanager
async def dead_letters(session: Session, decoder: InboxDecoder) -> AsyncIterator[Letters]:
    """Hold every dead letter; those that are not removed go back at the end.

    After an error they go back with the session, which must then be closed.
    """
    async with _alone(session):
        messages: list[DeliveredMessage] = []
        channels: list[AbstractChannel] = []
        full = True
        while full:
            channels.append(await session.channel())
            full = await _fill(session, channels[-1], messages)
            heard()
        letters = Letters(messages, decoder)
        yield letters
        for channel in channels:
            await channel.close()  # which returns its letters, in their order
            heard()
        await _until_back(session, letters.kept)


@asynccontextmanager
async def _alone(session: Session) -> AsyncIterator[None]:
    """Wait until no other connection looks at the dead letters, and keep the others out."""
    now = asyncio.get_running_loop().time
    give_up = now() + LOCK_SECONDS
    while True:
        channel = await session.channel()
        try:
            await channel.queue_declare(session.names.lock, exclusive=True)
            break
        except ChannelLockedResource:
            if now() >= give_up:
                raise DependencyError(
                    f"{session.address}: another program has held the dead letters of "
                    f"{session.names.work} for {LOCK_SECONDS:g} s"
                ) from None
            heard()
            await asyncio.sleep(POLL_SECONDS)
    yield
    await channel.queue_delete(session.names.lock)
    await channel.close()


async def _fill(
    session: Session, channel: AbstractChannel, messages: list[DeliveredMessage]
) -> bool:
    """Let the broker send all letters, or as many as a channel holds; return whether it is full."""
    most = len(messages) + LETTERS_PER_CHANNEL

    async def keep(message: DeliveredMessage) -> None:
        messages.append(message)

    await channel.basic_qos(prefetch_count=LETTERS_PER_CHANNEL)
    await channel.basic_consume(session.names.dead, keep)
    # The count of a declaration is 0 also when the queue is too busy to tell it.
    while (rest := await channel.basic_get(session.names.dead)).delivery_tag:
        messages.append(rest)
        heard()
        if len(messages) >= most:
            break
        await asyncio.sleep(POLL_SECONDS)
    await channel.basic_qos()  # what was sent before its answer is here now
    await asyncio.sleep(0)
    return len(messages) >= most


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
