"""The queue on RabbitMQ 3.10 or later: quorum queues, publisher confirms, a lease per connection.

Durability: what a call acknowledged was written to disk by a majority of the nodes that hold the
quorum queue, so it survives restarts and crashes of the broker, and the loss of a minority of
its nodes. docs/brokers.md has the queues it is made of.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from uuid import uuid4

from shared.clock import Clock, SystemClock
from shared.errors import ConfigError, ConnectionLostError, DependencyError
from shared.jobs import Job
from shared.queue.message import decode_message, forgiving
from shared.queue.port import (
    InboxDecoder,
    Published,
    QueueDepth,
    QueueSettings,
    needs_of,
    needs_of_job,
    require,
)
from shared.queue.rabbitmq.capabilities import CAPABILITIES
from shared.queue.rabbitmq.claims import Claims
from shared.queue.rabbitmq.lease_keeper import ConnectionWatch
from shared.queue.rabbitmq.link import Link
from shared.queue.rabbitmq.registers import incarnation, register_kind
from shared.queue.rabbitmq.session import Session
from shared.queue.rabbitmq.settling import Copy
from shared.queue.rabbitmq.stored_job import stored
from shared.queue.rabbitmq.topology import DELIVERY_LIMIT, bucket_ms, names_of
from shared.verdicts import Settlement
from shared.work_source import Exchange, LeaseKeeper

GOODBYE_SECONDS = 2.0
MOST_PER_CALL = 1000


class RabbitQueue:
    """One consumer of, and producer to, a queue. Not to be shared between event loops."""

    capabilities = CAPABILITIES

    def __init__(
        self,
        settings: QueueSettings,
        url: str,
        *,
        decoder: InboxDecoder = decode_message,
        clock: Clock | None = None,
    ) -> None:
        require(CAPABILITIES, *needs_of(settings))
        if settings.max_crashes > DELIVERY_LIMIT:
            raise ConfigError(f"max_crashes is at most {DELIVERY_LIMIT} on RabbitMQ")
        self._settings = settings
        self._names = names_of(settings.name)
        self._decoder = forgiving(decoder)
        self._clock = clock or SystemClock()
        self._link = Link(
            url, self._names, settings.lease_seconds, on_open=self._on_open, on_lost=self._on_lost
        )
        self._kind = ""
        self._wanted = 1
        self._claims: Claims | None = None
        self._watches: list[ConnectionWatch] = []

    async def open(self, worker_kind: str, job_types: Sequence[str]) -> None:
        """See Queue.open. RabbitMQ has nowhere to note the job types."""
        await self._link.close()  # a producer's session has no consumers
        self._kind = worker_kind
        try:
            await self._link.run(self._consuming)
        except ConnectionLostError as error:
            raise DependencyError(str(error)) from error

    async def publish(self, jobs: Sequence[Job]) -> Published:
        """See Queue.publish. A call that is repeated after ConnectionLostError may store twice."""
        now = self._clock.wall()
        copies = []
        for job in jobs:
            require(CAPABILITIES, *needs_of_job(job))
            bucket_ms(job.delay_seconds)
            kept = stored(job, job.key or uuid4().hex, now)
            copies.append(Copy(self._names.work, kept, max(0.0, job.delay_seconds)))
        await self._link.run(lambda session: session.store(copies))
        return Published(len(jobs))

    async def exchange(self, settled: Sequence[Settlement], want: int) -> Exchange:
        """See WorkSource.exchange. At most 1,000 deliveries a call.

        When a connection is lost in the middle, its deliveries are lost with it: the repeated
        call refuses their settlements, whether or not the broker had heard some of them.
        """
        self._check_open()
        want = min(want, MOST_PER_CALL)
        claims, refused = await self._link.run(partial(self._converse, settled, want))
        return Exchange(
            deliveries=claims.take(want),
            refused=refused,
            next_due_seconds=0.0 if claims.rest else None,
        )

    async def wait(self, timeout: float) -> None:
        """See WorkSource.wait. What the broker sends meanwhile is claimed by the next exchange."""
        self._check_open()
        claims = await self._link.run(self._asked)
        session = self._link.session
        if session is None or claims.rest:
            return
        session.arrived.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await session.arrived.wait()

    def lease_keeper(self) -> LeaseKeeper:
        """See WorkSource.lease_keeper. It tells of lost leases; heartbeats keep the others."""
        watch = ConnectionWatch()
        self._watches.append(watch)
        return watch

    async def depth(self) -> QueueDepth:
        """See Queue.depth.

        `ready` has the inbox, which is the same queue; `leased` has what this consumer was sent,
        since RabbitMQ tells nobody what the others were.
        """
        return await self._link.run(self._depth)

    async def incarnation(self) -> str:
        """See Queue.incarnation."""
        return await self._link.run(incarnation)

    async def close(self) -> None:
        """See WorkSource.close. Gives back what was sent ahead."""
        claims, self._claims = self._claims, None
        self._watches.clear()
        if claims is not None and self._link.session is not None:
            with suppress(ConnectionLostError, DependencyError, TimeoutError):
                async with asyncio.timeout(GOODBYE_SECONDS):
                    await self._link.run(lambda _: claims.give_back())
        await self._link.close()

    async def _on_open(self, session: Session) -> None:
        if self._kind:
            await register_kind(session, self._kind)
            await session.subscribe()
            self._claims = Claims(session, self._settings, self._decoder, self._clock)

    def _on_lost(self, label: str) -> None:
        for watch in self._watches:
            watch.lost(label)

    def _check_open(self) -> None:
        if not self._kind:
            raise RuntimeError("open() the queue before consuming from it")

    async def _consuming(self, _: Session) -> Claims:
        assert self._claims is not None  # made as the session was opened
        return self._claims

    async def _asked(self, session: Session) -> Claims:
        claims = await self._consuming(session)
        if not any(each.unacked for each in session.subscriptions):
            await claims.ask(self._wanted)
        return claims

    async def _converse(
        self, settled: Sequence[Settlement], want: int, session: Session
    ) -> tuple[Claims, Sequence[str]]:
        claims = await self._consuming(session)
        tokens = [each.delivery.token for each in settled]
        refused = [token for token in tokens if not claims.holds(token)]
        await claims.settle(settled)
        if want > 0:
            self._wanted = want
            await claims.ask(want)
        return claims, refused

    async def _depth(self, session: Session) -> QueueDepth:
        names = self._names
        return QueueDepth(
            ready=await session.count(names.work) + await session.count(names.suspects),
            delayed=await session.delayed(),
            leased=sum(each.unacked for each in session.subscriptions),
            dead=await session.count(names.dead),
        )
