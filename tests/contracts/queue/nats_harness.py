"""A queue in JetStream under test."""

from __future__ import annotations

import asyncio
import base64
import time
from typing import Any
from uuid import uuid4

from shared.queue.message import decode_message
from shared.queue.nats_jetstream.address import Address
from shared.queue.nats_jetstream.admin import NatsQueueAdmin
from shared.queue.nats_jetstream.leases import Leases
from shared.queue.nats_jetstream.link import Link
from shared.queue.nats_jetstream.names import CONSUMERS, names_of
from shared.queue.nats_jetstream.queue import NatsQueue
from shared.queue.nats_jetstream.session import Session
from shared.queue.nats_jetstream.store import Message, store
from shared.queue.nats_jetstream.streams import set_lease, succeeded
from shared.queue.port import InboxDecoder, Queue, QueueSettings
from tests.contracts.queue.harness import Harness

_INSTANT = 0.001
_NOTICED = 0.3
"""Seconds after which the server has looked at the deadlines of an edited consumer."""


class NatsHarness(Harness):
    """The adapter on a real server. Leases end by an instant of a very short ack_wait; delayed
    messages are moved to where their schedule would put them."""

    knows_due = False
    hands_back_in_front = False

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.names = names_of(self.settings.name)
        self.link = Link(Address(url), self.names, self.settings.lease_seconds)
        self.leases: list[Leases] = []
        self._open.push_async_callback(self.link.close)

    def queue(self, settings: QueueSettings, decoder: InboxDecoder = decode_message) -> Queue:
        queue = NatsQueue(settings, self.url, decoder=decoder)
        self.leases.append(queue._leases)
        return queue

    def admin(self) -> NatsQueueAdmin:
        admin = NatsQueueAdmin(self.settings, self.url)
        self._open.push_async_callback(admin.close)
        return admin

    async def push(self, *messages: bytes) -> None:
        session = await self.link.session()
        for message in messages:
            await session.answers([await session.ask(self.settings.name, message)])

    async def expire_leases(self) -> None:
        session = await self.link.session()
        known = await session.api(f"CONSUMER.INFO.{self.names.stream}.{CONSUMERS[0]}")
        await set_lease(session, self.names, _INSTANT)
        await asyncio.sleep(_NOTICED)
        await set_lease(session, self.names, known["config"]["ack_wait"] / 1e9)
        for lease in (each for leases in self.leases for each in leases._held.values()):
            lease.until = time.monotonic()

    async def ripen(self) -> None:
        session = await self.link.session()
        while (found := await self._delayed(session)) is not None:
            headers = base64.b64decode(found["hdrs"]).decode()
            (target,) = (
                line.partition(": ")[2]
                for line in headers.splitlines()
                if line.startswith("Nats-Schedule-Target")
            )
            body = base64.b64decode(found["data"])
            await store(session, [Message(target, body, uuid4().hex)])
            succeeded(
                await session.api(f"STREAM.MSG.DELETE.{self.names.stream}", {"seq": found["seq"]})
            )

    async def _delayed(self, session: Session) -> dict[str, Any] | None:
        wish = {"seq": 1, "next_by_subj": f"{self.names.prefix}delayed.*"}
        found = await session.api(f"STREAM.MSG.GET.{self.names.stream}", wish)
        return found.get("message")
