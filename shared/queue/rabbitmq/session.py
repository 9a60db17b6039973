"""One life of a connection: its channels, its queues, and who hears that it has ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from uuid import uuid4

from aiormq.abc import AbstractChannel, AbstractConnection
from aiormq.exceptions import ChannelNotFoundEntity

from shared.queue.rabbitmq.connection import address_of, connect, translated
from shared.queue.rabbitmq.delays import delay_queues, make_delay_queue
from shared.queue.rabbitmq.patience import heard
from shared.queue.rabbitmq.publisher import Message, Publisher
from shared.queue.rabbitmq.settling import Copy
from shared.queue.rabbitmq.stored_job import encode
from shared.queue.rabbitmq.subscription import Subscription
from shared.queue.rabbitmq.topology import Names, bucket_ms, durable_queues

CLOSE_SECONDS = 2.0
NEW_QUEUE_SECONDS = 1.0
"""A node that is killed within half a second of a declaration forgets the quorum queue with all
that it holds: only then is its register of queues on disk."""


class Session:
    """Everything that is lost together when the connection, or one of its channels, is closed."""

    def __init__(self, connection: AbstractConnection, address: str, names: Names) -> None:
        self.label = uuid4().hex[:16]
        """Names this life, and no other connection's."""
        self.address = address
        self.names = names
        self.lost = False
        self.arrived = asyncio.Event()
        """Set when messages arrive, and when the session is lost."""
        self.subscriptions: Sequence[Subscription] = ()
        self._connection = connection
        self._publisher: Publisher | None = None
        self._control: AbstractChannel | None = None
        self._delay_queues: set[int] = set()
        self._on_lost: Callable[[str], None] = lambda _: None

    @classmethod
    async def open(
        cls, url: str, names: Names, lease_seconds: float, on_lost: Callable[[str], None]
    ) -> Session:
        """Connect and declare the queues. Raises ConnectionLostError or DependencyError."""
        session = cls(await connect(url, lease_seconds), address_of(url), names)
        try:
            with translated(session.address):
                await session._set_up(on_lost)
        except BaseException:
            await session.close()
            raise
        return session

    @property
    def control(self) -> AbstractChannel:
        """The channel for declarations."""
        assert self._control is not None
        return self._control

    async def channel(self) -> AbstractChannel:
        """Open a channel for one question; the broker closes it when the answer is no."""
        return await self._connection.channel(publisher_confirms=False)

    async def subscribe(self) -> None:
        """Make ready to consume: suspects first, then all others."""
        names = (self.names.suspects, self.names.work)
        made = [
            Subscription(await self._watched_channel(), name, self.arrived.set) for name in names
        ]
        self.subscriptions = made

    async def store(self, copies: Sequence[Copy]) -> None:
        """Publish jobs and return when the broker has them."""
        assert self._publisher is not None
        if copies:
            await self._publisher.publish([await self._message(each) for each in copies])

    async def count(self, queue: str) -> int:
        """Return how many messages are ready in a queue that exists."""
        answer = await self.control.queue_declare(queue, passive=True)
        return answer.message_count or 0

    async def delayed(self) -> int:
        """Return how many messages wait in all delay queues."""
        total = 0
        for longest in await delay_queues(self.control, self.names):
            total += await self.count(self.names.delay(longest))
            heard()
        return total

    async def close(self) -> None:
        """Close the connection; what is not acknowledged goes back to its queue."""
        self.lose()
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._connection.close()
        except (TimeoutError, OSError, RuntimeError):
            return  # the broker finds out by itself

    def lose(self) -> None:
        """Take note that nothing of this session counts any more."""
        if not self.lost:
            self.lost = True
            self.arrived.set()
            self._on_lost(self.label)

    async def _set_up(self, on_lost: Callable[[str], None]) -> None:
        self._control = await self._watched_channel()
        self._publisher = Publisher(await self._watched_channel(confirms=True))
        is_new = not await self._exists(self.names.suspects)
        for name, arguments in durable_queues(self.names).items():
            await self._control.queue_declare(name, durable=True, arguments=dict(arguments))
        if is_new:
            await asyncio.sleep(NEW_QUEUE_SECONDS)
        self._on_lost = on_lost

    async def _exists(self, queue: str) -> bool:
        channel = await self.channel()
        try:
            await channel.queue_declare(queue, passive=True)
        except ChannelNotFoundEntity:
            return False
        await channel.close()
        return True

    async def _watched_channel(self, *, confirms: bool = False) -> AbstractChannel:
        channel = await self._connection.channel(publisher_confirms=confirms)
        channel.closing.add_done_callback(lambda _: self.lose())
        channel.on_consumer_cancel_callbacks.add(lambda _: self.lose())
        return channel

    async def _message(self, copy: Copy) -> Message:
        if not copy.delay_seconds:
            return Message(copy.to, encode(copy.job))
        bucket = bucket_ms(copy.delay_seconds)
        if bucket not in self._delay_queues:
            is_new = not await self._exists(self.names.delay(bucket))
            await make_delay_queue(self.control, self.names, bucket)
            if is_new:
                await asyncio.sleep(NEW_QUEUE_SECONDS)
            self._delay_queues.add(bucket)
            heard()
        expires = max(1, round(copy.delay_seconds * 1000))
        return Message(self.names.delay(bucket), encode(copy.job), expires)
