"""The adapter for RabbitMQ on a real server. Its time cannot be moved: what is delayed is."""

from __future__ import annotations

import asyncio

import aiormq

from shared.queue.administration import QueueAdmin
from shared.queue.message import decode_message
from shared.queue.port import InboxDecoder, Queue, QueueSettings
from shared.queue.rabbitmq.admin import RabbitQueueAdmin
from shared.queue.rabbitmq.delays import delay_queues
from shared.queue.rabbitmq.queue import RabbitQueue
from shared.queue.rabbitmq.topology import buckets, names_of
from tests.contracts.queue.harness import Harness
from tests.faults.proxy import Proxy

POLL_SECONDS = 0.01


class RabbitHarness(Harness):
    """Leases end with their connection: consumers' connections go through a proxy that cuts."""

    patience = 10.0
    sends_ahead = True
    one_line = True

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._consumers: list[RabbitQueue] = []
        self._proxy: Proxy | None = None

    async def consumer(
        self,
        kind: str = "tester",
        *,
        settings: QueueSettings | None = None,
        decoder: InboxDecoder = decode_message,
    ) -> Queue:
        if self._proxy is None:
            self._proxy = await self._open.enter_async_context(Proxy(self.url))
        return await super().consumer(kind, settings=settings, decoder=decoder)

    def queue(self, settings: QueueSettings, decoder: InboxDecoder = decode_message) -> Queue:
        url = self._proxy.url if self._proxy else self.url
        self._consumers.append(RabbitQueue(settings, url, decoder=decoder))
        return self._consumers[-1]

    def admin(self) -> QueueAdmin:
        admin = RabbitQueueAdmin(self.settings, self.url)
        self._open.push_async_callback(admin.close)
        return admin

    async def push(self, *messages: bytes) -> None:
        """Publish to the default exchange, as any client does."""
        async with aiormq.connect(self.url) as connection:
            channel = await connection.channel()
            for message in messages:
                properties = aiormq.spec.Basic.Properties(delivery_mode=2)
                await channel.basic_publish(
                    message, routing_key=self.settings.name, properties=properties
                )

    async def expire_leases(self) -> None:
        """Cut every consumer's connection, as the crash of its machine does."""
        assert self._proxy is not None
        admin = self.admin()
        ready = (await admin.depth()).ready + self._sent()
        await self._proxy.cut()
        async with asyncio.timeout(30):
            while self._sent() or (await admin.depth()).ready < ready:
                await asyncio.sleep(POLL_SECONDS)

    async def ripen(self) -> None:
        """Move delayed messages to where their broker would move them."""
        names = names_of(self.settings.name)
        async with aiormq.connect(self.url) as connection:
            channel = await connection.channel()
            for longest in await delay_queues(channel, names):
                while (found := await channel.basic_get(names.delay(longest))).delivery_tag:
                    properties = found.header.properties
                    properties.expiration = None
                    await channel.basic_publish(
                        found.body, routing_key=names.work, properties=properties
                    )
                    await channel.basic_ack(found.delivery_tag)

    async def drained(self, queue: Queue) -> bool:
        """Nothing is ready, or what was asked for was sent; and what was sent has arrived."""
        assert isinstance(queue, RabbitQueue)
        session = queue._link.session
        if session is None:
            return False
        for each in session.subscriptions:
            if each._used < each._prefetch and await session.count(each.queue):
                return False
            await each.channel.basic_qos(prefetch_count=each._prefetch)
        await asyncio.sleep(0)
        return queue._claims is not None and not queue._claims.rest

    def _sent(self) -> int:
        sessions = [each._link.session for each in self._consumers]
        return sum(s.unacked for session in sessions if session for s in session.subscriptions)

    async def close(self) -> None:
        """Close everything, and leave no queue behind."""
        await super().close()
        names = names_of(self.settings.name)
        queues = [names.work, names.suspects, names.dead, names.kind, names.incarnation]
        async with aiormq.connect(self.url) as connection:
            channel = await connection.channel()
            for name in [*queues, *map(names.delay, buckets())]:
                await channel.queue_delete(name)
            for name in (names.delays, names.delay_list):
                await channel.exchange_delete(name)
