"""What the broker sends ahead from one queue, and what of it is not acknowledged yet."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection
from itertools import count
from typing import Any, cast

from aiormq.abc import AbstractChannel, ChannelFrame, DeliveredMessage
from aiormq.channel import Channel
from pamqp import commands

AHEAD = 4
"""One message more for each so many that are wanted is sent ahead, while they are worked on."""
FEW = 16
"""So few are wanted exactly."""


class Subscription:
    """Consumes one queue on a channel of its own, which bounds the unacknowledged messages."""

    def __init__(self, channel: AbstractChannel, queue: str, arrived: Callable[[], None]) -> None:
        self.queue = queue
        self.channel = cast(Channel, channel)
        self.buffer: deque[DeliveredMessage] = deque()
        self._arrived = arrived
        self._consumer = ""
        self._numbers = count()
        self._prefetch = 0
        self._unacked: dict[int, str] = {}
        """Delivery tags, in order, with the consumer that each was sent to."""
        self._used = 0
        """How many were sent to the present consumer."""

    @property
    def unacked(self) -> int:
        """How many messages the broker holds for this consumer."""
        return len(self._unacked)

    async def ask(self, want: int) -> None:
        """Let the broker send so many messages; they arrive in their own time."""
        missing = want - len(self.buffer)
        if self._used + missing <= self._prefetch or missing <= 0:
            return
        await self.stop()
        self._prefetch = missing if missing <= FEW else missing + missing // AHEAD
        await self.channel.basic_qos(prefetch_count=self._prefetch)
        self._consumer = f"{self.queue}-{next(self._numbers)}"
        await self.channel.basic_consume(self.queue, self._on_message, consumer_tag=self._consumer)

    async def stop(self) -> None:
        """Let the broker send nothing more; what is here stays."""
        if self._consumer:
            await self.channel.basic_cancel(self._consumer)
        self._consumer, self._prefetch, self._used = "", 0, 0

    async def acknowledge(self, tags: Collection[int]) -> None:
        """Acknowledge; when this returns, the broker had the channel still open."""
        if not tags:
            return
        frames = [
            commands.Basic.Ack(delivery_tag=tag, multiple=multiple)
            for tag, multiple in self._acks(set(tags))
        ]
        await self.channel.write_queue.put(ChannelFrame.marshall(self.channel.number, frames))
        # An acknowledgement has no answer: that of the next request tells it was heard in time.
        await self.channel.basic_qos(prefetch_count=self._prefetch)

    def _acks(self, tags: set[int]) -> list[tuple[int, bool]]:
        """Return the fewest acknowledgements: one for all up to the first that is not settled."""
        together: list[int] = []
        for tag in self._unacked:
            if tag not in tags:
                break
            together.append(tag)
        acks = [(together[-1], len(together) > 1)] if together else []
        acks += [(tag, False) for tag in sorted(tags.difference(together))]
        for tag in tags:
            self._used -= self._unacked.pop(tag) == self._consumer
        return acks

    async def _on_message(self, message: DeliveredMessage) -> None:
        delivery = cast(Any, message.delivery)
        self._unacked[delivery.delivery_tag] = delivery.consumer_tag
        self._used += delivery.consumer_tag == self._consumer
        self.buffer.append(message)
        self._arrived()
