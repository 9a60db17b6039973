"""Publishes batches: all frames in one write, and one wait for all confirms of the broker."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import msgspec
from aiormq.abc import AbstractChannel, ChannelFrame
from aiormq.channel import Channel
from pamqp import commands
from pamqp.body import ContentBody
from pamqp.header import ContentHeader

from shared.queue.rabbitmq.patience import heard
from shared.queue.rabbitmq.stored_job import CONTENT_TYPE

MOST_PER_WRITE = 500
_PERSISTENT = 2


class Message(msgspec.Struct, frozen=True, gc=False):
    """A stored job on its way to a queue."""

    to: str
    body: bytes
    expires_ms: int | None = None


class _Confirms:
    """Stands for every message of one batch among the channel's awaited confirms."""

    def __init__(self, done: asyncio.Future[None], count: int) -> None:
        self._future = done
        self._left = count

    def done(self) -> bool:
        return self._future.done()

    def cancelled(self) -> bool:
        return True  # the library logs a late confirm of a batch that failed as unimportant

    def set_result(self, _: object) -> None:
        self._left -= 1
        if not self._left:
            self._future.set_result(None)

    def set_exception(self, error: BaseException) -> None:
        if not self._future.done():
            self._future.set_exception(error)


class Publisher:
    """Owns one channel in confirm mode."""

    def __init__(self, channel: AbstractChannel) -> None:
        self._channel = cast(Channel, channel)

    async def publish(self, messages: Sequence[Message]) -> None:
        """Return when the broker has stored every message.

        Raises PublishError when a queue is missing, DeliveryError when the broker refuses one.
        """
        for at in range(0, len(messages), MOST_PER_WRITE):
            await (await self._send(messages[at : at + MOST_PER_WRITE]))
            heard()

    async def _send(self, messages: Sequence[Message]) -> asyncio.Future[None]:
        channel = self._channel
        async with channel.lock:
            done: asyncio.Future[None] = channel.create_future()
            confirms = cast(Any, _Confirms(done, len(messages)))
            frames: list[Any] = []
            for message in messages:
                channel.delivery_tag += 1
                channel.confirmations[channel.delivery_tag] = confirms
                frames += self._frames(message, str(channel.delivery_tag))
            names = range(channel.delivery_tag - len(messages) + 1, channel.delivery_tag + 1)
            channel.message_id_delivery_tag.update((str(tag), tag) for tag in names)
            done.add_done_callback(lambda _: self._forget(names))
            await channel.write_queue.put(ChannelFrame.marshall(channel.number, frames))
        return done

    def _frames(self, message: Message, name: str) -> list[Any]:
        publish = commands.Basic.Publish(routing_key=message.to, mandatory=True)
        properties = commands.Basic.Properties(
            content_type=CONTENT_TYPE,
            delivery_mode=_PERSISTENT,
            expiration=None if message.expires_ms is None else str(message.expires_ms),
            message_id=name,
        )
        body, most = message.body, self._channel.max_content_size - 1
        header = ContentHeader(body_size=len(body), properties=properties)
        return [
            publish,
            header,
            *(ContentBody(body[at : at + most]) for at in range(0, len(body), most)),
        ]

    def _forget(self, names: range) -> None:
        for tag in names:
            self._channel.message_id_delivery_tag.pop(str(tag), None)
