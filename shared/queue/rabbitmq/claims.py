"""Turns what the broker sent into deliveries, and deliveries' settlements into acknowledgements."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import count
from uuid import uuid4

import msgspec
from aiormq.abc import DeliveredMessage
from msgspec.structs import replace

from shared.clock import Clock
from shared.jobs import Delivery
from shared.queue.port import InboxDecoder, QueueSettings
from shared.queue.rabbitmq.session import Session
from shared.queue.rabbitmq.settling import Copy, after_crashes, buried, copy_for, misplaced
from shared.queue.rabbitmq.stored_job import CONTENT_TYPE, StoredJob, decode, stored
from shared.queue.rabbitmq.subscription import Subscription
from shared.verdicts import Settlement


class _Held(msgspec.Struct, frozen=True, gc=False):
    """A message that was handed out."""

    source: Subscription
    tag: int
    job: StoredJob


class Claims:
    """What one consumer holds of one session. All of it is void when the session is lost."""

    def __init__(
        self, session: Session, settings: QueueSettings, decoder: InboxDecoder, clock: Clock
    ) -> None:
        self._session = session
        self._settings = settings
        self._decoder = decoder
        self._clock = clock
        self._held: dict[str, _Held] = {}
        self._rerouted: list[tuple[Subscription, int, Copy]] = []
        self._own_keys = (f"{prefix}-{number}" for prefix in (uuid4().hex,) for number in count())

    @property
    def rest(self) -> bool:
        """Whether more is here than was handed out, or something waits to be put elsewhere."""
        return bool(self._rerouted or any(each.buffer for each in self._session.subscriptions))

    def holds(self, token: str) -> bool:
        """Whether a settlement with this token would be accepted."""
        return token in self._held

    async def ask(self, want: int) -> None:
        """Let the broker send work: so much, and a suspect beside it unless one is here.

        One suspect at a time, so that what it does to its process is counted against it alone.
        """
        suspects, work = self._session.subscriptions
        if not suspects.unacked:
            await suspects.ask(1)
        await work.ask(want)

    async def settle(self, settled: Iterable[Settlement]) -> None:
        """Store what is to be done again, and only then acknowledge. Ignores what is not held."""
        now = self._clock.wall()
        tags: dict[Subscription, list[int]] = {}
        copies: list[Copy] = []
        for source, tag, elsewhere in self._rerouted:
            tags.setdefault(source, []).append(tag)
            copies.append(elsewhere)
        self._rerouted = []
        for each in settled:
            held = self._held.pop(each.delivery.token, None)
            if held is None:
                continue
            tags.setdefault(held.source, []).append(held.tag)
            copy = copy_for(each.verdict, held.job, self._session.names, now)
            if copy is not None:
                copies.append(copy)
        await self._session.store(copies)
        for source, acknowledged in tags.items():
            await source.acknowledge(acknowledged)

    def take(self, want: int) -> Sequence[Delivery]:
        """Hand out what the broker has sent; never waits."""
        deliveries: list[Delivery] = []
        for source in self._session.subscriptions:
            while source.buffer and len(deliveries) < want:
                delivery = self._hand_out(source, source.buffer.popleft())
                if delivery is not None:
                    deliveries.append(delivery)
        return deliveries

    async def give_back(self) -> None:
        """Return what was sent ahead and not handed out, as if it never had been."""
        for source in self._session.subscriptions:
            await source.stop()
            while source.buffer:
                tag, job = self._read(source, source.buffer.popleft())
                home = Copy(self._session.names.home(job.crashes), job)
                self._rerouted.append((source, tag, home))
        await self.settle(())

    def _hand_out(self, source: Subscription, message: DeliveredMessage) -> Delivery | None:
        tag, job = self._read(source, message)
        now, names = self._clock.wall(), self._session.names
        elsewhere = misplaced(job, source.queue, self._settings.max_crashes, names, now)
        if not job.type and elsewhere is None:
            elsewhere = buried(replace(job, attempts=job.attempts + 1), job.reason, names, now)
        if elsewhere is not None:
            self._rerouted.append((source, tag, elsewhere))
            return None
        token = f"{self._session.label}:{source.channel.number}:{tag}"
        self._held[token] = _Held(source, tag, job)
        return Delivery(
            job=job.job(),
            token=token,
            attempt=job.attempts + 1,
            crashes=job.crashes,
            lease_until=self._clock.monotonic() + self._settings.lease_seconds,
            age_seconds=max(0.0, now - job.first_seen),
        )

    def _read(self, source: Subscription, message: DeliveredMessage) -> tuple[int, StoredJob]:
        properties = message.header.properties
        job = self._stored_job(message.body, properties.content_type)
        returns = (properties.headers or {}).get("x-delivery-count", 0)
        if isinstance(returns, int) and returns:
            crashes = after_crashes(job, returns, source.queue, self._session.names)
            job = replace(job, crashes=crashes)
        tag = message.delivery_tag
        assert tag is not None
        return tag, job

    def _stored_job(self, body: bytes, content_type: str | None) -> StoredJob:
        """Read a job of ours, or a message of the inbox; no type says that it is unreadable."""
        kept = StoredJob(key=next(self._own_keys), raw=body, first_seen=self._clock.wall())
        try:
            if content_type == CONTENT_TYPE:
                kept = decode(body)
                if kept.type:
                    return kept
            return stored(self._decoder(kept.raw), kept.key, kept.first_seen)
        except ValueError as error:
            return replace(kept, reason=f"unreadable: {error}")
