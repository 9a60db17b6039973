"""The adapter on a real Kafka; one partition a topic, so that there is one order."""

from __future__ import annotations

import time

from shared.clock import SystemClock
from shared.queue.administration import QueueAdmin
from shared.queue.kafka.address import read_address
from shared.queue.kafka.admin import KafkaQueueAdmin
from shared.queue.kafka.publisher import Publisher
from shared.queue.kafka.queue import KafkaQueue
from shared.queue.kafka.record import Outgoing
from shared.queue.kafka.topics import topics_of
from shared.queue.message import decode_message
from shared.queue.port import InboxDecoder, Queue, QueueSettings
from tests.contracts.queue.harness import Harness

LEASE_SECONDS = 10.0
A_DAY = 86_400.0


class ShiftedClock(SystemClock):
    """The machine's clocks, with a time of day that can be moved."""

    def __init__(self) -> None:
        self.shift = 0.0

    def wall(self) -> float:  # type: ignore[override]
        return time.time() + self.shift


class KafkaHarness(Harness):
    """Time passes by moving the clock of all consumers; a lease ends with its member."""

    patience = 3.0
    sends_ahead = True

    def __init__(self, url: str) -> None:
        super().__init__(url.partition("?")[0] + "?partitions=1")
        self.settings = QueueSettings(name=self.settings.name, lease_seconds=LEASE_SECONDS)
        self.clock = ShiftedClock()
        self._queues: list[KafkaQueue] = []
        self._producer = Publisher(read_address(self.url))
        self._open.push_async_callback(self._producer.close)

    def queue(self, settings: QueueSettings, decoder: InboxDecoder = decode_message) -> Queue:
        queue = KafkaQueue(settings, self.url, decoder=decoder, clock=self.clock)
        self._queues.append(queue)
        return queue

    def admin(self) -> QueueAdmin:
        admin = KafkaQueueAdmin(self.settings, self.url, clock=self.clock)
        self._open.push_async_callback(admin.close)
        return admin

    async def push(self, *messages: bytes) -> None:
        inbox = topics_of(self.settings.name).inbox
        await self._producer.send([Outgoing(inbox, 0, b"", each, None) for each in messages])

    async def expire_leases(self) -> None:
        """Take those who hold jobs out of the group, as its coordinator does with the silent."""
        for queue in self._queues:
            if self._held_by(queue):
                assert queue._exchanger is not None
                await queue._exchanger.member.stop()

    async def drained(self, queue: Queue) -> bool:
        depth = await queue.depth()
        on_its_way = depth.leased - sum(map(self._held_by, self._queues))  # to a new owner
        ripe = depth.delayed if self.clock.shift else 0
        return not (depth.inbox or depth.ready or ripe or on_its_way > 0)

    async def ripen(self) -> None:
        self.clock.shift += A_DAY

    def _held_by(self, queue: KafkaQueue) -> int:
        exchanger = queue._exchanger
        return 0 if exchanger is None or exchanger.member.stopped else len(exchanger._held)
