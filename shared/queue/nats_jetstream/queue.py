"""The queue on NATS JetStream 2.12 or later.

Durability: an acknowledged publish survives a server that is killed or restarted. With
`sync_interval: always` in the server's `jetstream {}` it also survives a power cut; without it, up
to two minutes may be lost then. docs/brokers.md has streams, settings and figures.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from uuid import uuid4

from msgspec.structs import replace

from shared.clock import Clock, SystemClock
from shared.errors import ConnectionLostError, DependencyError
from shared.jobs import Job
from shared.queue.message import decode_message, forgiving
from shared.queue.nats_jetstream import depth, workers
from shared.queue.nats_jetstream.address import Address
from shared.queue.nats_jetstream.capabilities import CAPABILITIES
from shared.queue.nats_jetstream.exchanger import Exchanger
from shared.queue.nats_jetstream.lease_keeper import NatsLeaseKeeper
from shared.queue.nats_jetstream.leases import Leases
from shared.queue.nats_jetstream.link import Link
from shared.queue.nats_jetstream.names import names_of
from shared.queue.nats_jetstream.session import Session
from shared.queue.nats_jetstream.settlement import waiting
from shared.queue.nats_jetstream.store import Message, check_sizes, store
from shared.queue.nats_jetstream.stored_job import stored
from shared.queue.nats_jetstream.streams import ALIVE_SECONDS, set_lease
from shared.queue.nats_jetstream.wake_up import WakeUp
from shared.queue.port import (
    Capabilities,
    InboxDecoder,
    Published,
    QueueDepth,
    QueueSettings,
    needs_of,
    needs_of_job,
    require,
)
from shared.verdicts import Settlement
from shared.work_source import Exchange, LeaseKeeper

IDLE_LOOK_SECONDS = 1.0
"""An idle consumer looks at least this often: nothing tells of a lease that ended."""
GOODBYE_SECONDS = 1.0
"""How long a server may take to hear that a consumer leaves; it would find out by itself."""
RECONNECT_SECONDS = 0.1


class NatsQueue:
    """One consumer of, and producer to, a queue in JetStream."""

    capabilities: Capabilities = CAPABILITIES

    def __init__(
        self,
        settings: QueueSettings,
        url: str,
        *,
        decoder: InboxDecoder = decode_message,
        clock: Clock | None = None,
    ) -> None:
        """Connect at the first call. Raises ConfigError for a bad URL, name or wish."""
        require(CAPABILITIES, *needs_of(settings))
        self._settings = settings
        self._names = names_of(settings.name)
        self._address = Address(url)
        self._clock = clock or SystemClock()
        self._link = Link(self._address, self._names, settings.lease_seconds)
        self._wake_up = WakeUp(self._names)
        self._leases = Leases(self._clock)
        self._exchanger = Exchanger(
            self._link,
            self._names,
            settings,
            forgiving(decoder),
            self._clock,
            self._leases,
            self._wake_up,
        )
        self._worker = ""
        self._alive_until = 0.0

    async def open(self, worker_kind: str, job_types: Sequence[str]) -> None:
        """See Queue.open."""
        lease_ms = int(self._settings.lease_seconds * 1000)
        subject = self._names.worker(worker_kind, lease_ms, uuid4().hex)
        me = workers.Worker(subject, worker_kind, self._settings.lease_seconds)
        try:
            session = await self._link.session()
            longest = await workers.register(session, self._names, self._settings.name, me)
            await set_lease(session, self._names, longest)
        except ConnectionLostError as error:
            raise DependencyError(str(error)) from error
        self._leases.seconds = self._settings.lease_seconds
        self._worker = subject

    async def publish(self, jobs: Sequence[Job]) -> Published:
        """See Queue.publish."""
        for job in jobs:
            require(CAPABILITIES, *needs_of_job(job))
        session = await self._link.session()
        messages = [self._message(job) for job in jobs]
        check_sizes(session, messages)
        fresh = await store(session, messages)
        return Published(sum(fresh), len(fresh) - sum(fresh))

    async def exchange(self, settled: Sequence[Settlement], want: int) -> Exchange:
        """See WorkSource.exchange."""
        if not self._worker:
            raise RuntimeError("open() the queue before consuming from it")
        await self._stay_alive()
        return await self._exchanger.exchange(settled, want)

    async def wait(self, timeout: float) -> None:
        """See WorkSource.wait."""
        try:
            session = await self._link.session()
            if not self._wake_up.armed(session):
                await self._wake_up.arm(session)
                if await self._has_work(session):
                    return
        except ConnectionLostError:
            await asyncio.sleep(min(timeout, RECONNECT_SECONDS))
            return
        await self._wake_up.wait(min(timeout, IDLE_LOOK_SECONDS))

    def lease_keeper(self) -> LeaseKeeper:
        """See WorkSource.lease_keeper."""
        return NatsLeaseKeeper(self._address, self._leases, self._worker, self._clock)

    async def depth(self) -> QueueDepth:
        """See Queue.depth."""
        return await depth.depth(await self._link.session(), self._names)

    async def incarnation(self) -> str:
        """See Queue.incarnation."""
        await self._link.session()
        return self._link.origin.name

    async def close(self) -> None:
        """See WorkSource.close."""
        try:
            if self._worker:
                async with asyncio.timeout(GOODBYE_SECONDS):
                    await self._exchanger.leave()
                    await workers.leave(await self._link.session(), self._names, self._worker)
        except (ConnectionLostError, DependencyError, TimeoutError):
            return  # it stops counting as alive by itself
        finally:
            self._worker = ""
            await self._link.close()

    async def _has_work(self, session: Session) -> bool:
        found = await depth.depth(session, self._names)
        return bool(found.ready or found.inbox)

    async def _stay_alive(self) -> None:
        now = self._clock.monotonic()
        if now > self._alive_until - 2 * ALIVE_SECONDS / 3:
            await workers.say_alive(await self._link.session(), self._worker)
            self._alive_until = now + ALIVE_SECONDS

    def _message(self, job: Job) -> Message:
        job = job if job.key else replace(job, key=uuid4().hex)
        delay = job.delay_seconds
        seen_ms = int((time.time() + self._link.origin.clock_ahead_seconds) * 1000)
        body = stored(job, seen_ms if delay > 0 else 0)
        return waiting(self._names, self._link.origin, body, f"key:{job.key}", delay)
