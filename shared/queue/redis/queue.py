"""The queue on Redis 7.0 or later, or Valkey: the default.

Durability: with `appendonly yes` and `appendfsync always` nothing that a call acknowledged is
lost; with `everysec` a server that is killed or loses power (not one that restarts) loses up to
two seconds, and with asynchronous replicas a failover may. docs/queue-protocol.md has the keys
and the states.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from itertools import count
from uuid import uuid4

from shared.clock import Clock, SystemClock
from shared.errors import ConnectionLostError, DependencyError, QueueConflictError
from shared.jobs import Job
from shared.queue.message import decode_message, forgiving
from shared.queue.port import InboxDecoder, Published, QueueDepth, QueueSettings
from shared.queue.redis.capabilities import CAPABILITIES
from shared.queue.redis.depth import depth_of
from shared.queue.redis.exchanger import Exchanger, alive_ms
from shared.queue.redis.keys import keys_of
from shared.queue.redis.lease_keeper import redis_lease_keeper
from shared.queue.redis.scripts import PUBLISH_PARTS
from shared.queue.redis.stored_job import published_form
from shared.queue.redis.wake_up import WakeUp
from shared.redis.client import address_of, connect
from shared.redis.faults import translated
from shared.redis.script import Argument, Script
from shared.redis.server import check_server, incarnation
from shared.verdicts import Settlement
from shared.work_source import Exchange, LeaseKeeper

IDLE_LOOK_SECONDS = 1.0
"""An idle consumer looks at least this often: so it finds what a killed one was woken for."""
GOODBYE_SECONDS = 1.0
"""How long a server may take to hear that a consumer leaves; it would find out by itself."""
MOST_PER_PUBLISH = 1000

_publish = Script("shared.queue.redis", *PUBLISH_PARTS, "publish.lua")
_register = Script("shared.queue.redis", "register.lua")


class RedisQueue:
    """One consumer of, and producer to, a queue. Not to be shared between event loops."""

    capabilities = CAPABILITIES

    def __init__(
        self,
        settings: QueueSettings,
        url: str,
        *,
        allow_eviction: bool = False,
        decoder: InboxDecoder = decode_message,
        clock: Clock | None = None,
    ) -> None:
        self._settings = settings
        self._url = url
        self._allow_eviction = allow_eviction
        self._decoder = forgiving(decoder)
        self._clock = clock or SystemClock()
        self._keys = keys_of(settings.name)
        self._client = connect(url)
        self._address = address_of(self._client)
        self._exchanger: Exchanger | None = None
        self._wake_up: WakeUp | None = None
        self._due_at: float | None = None
        self._own_keys = (f"{prefix}-{number}" for prefix in (uuid4().hex,) for number in count())

    async def open(self, worker_kind: str, job_types: Sequence[str]) -> None:
        """See Queue.open."""
        try:
            await check_server(self._client, allow_eviction=self._allow_eviction)
            origin = (await incarnation(self._client, self._keys.prefix))[:12]
            exchanger = Exchanger(
                self._client, self._keys, self._settings, self._decoder, self._clock, origin
            )
            await self._register(exchanger.consumer, worker_kind, job_types)
        except ConnectionLostError as error:
            raise DependencyError(str(error)) from error
        self._exchanger = exchanger
        self._wake_up = WakeUp(self._client, self._keys, exchanger)

    async def publish(self, jobs: Sequence[Job]) -> Published:
        """See Queue.publish. Raises ValueError for a name over 65,535 bytes."""
        accepted = duplicates = 0
        for at in range(0, len(jobs), MOST_PER_PUBLISH):
            arguments: list[Argument] = []
            for job in jobs[at : at + MOST_PER_PUBLISH]:
                arguments += published_form(job, job.key or next(self._own_keys))
            keys = self._keys
            with translated(self._address):
                stored = await _publish.run(
                    self._client,
                    [keys.jobs, keys.delayed, keys.dedup, *keys.ready, keys.prefix],
                    arguments,
                )
            accepted += stored[0]
            duplicates += stored[1]
        return Published(accepted, duplicates)

    async def exchange(self, settled: Sequence[Settlement], want: int) -> Exchange:
        """See WorkSource.exchange. At most 1,000 deliveries a call."""
        answer = await self._opened().exchange(settled, want)
        due = answer.next_due_seconds
        self._due_at = None if due is None else self._clock.monotonic() + due
        return answer

    async def wait(self, timeout: float) -> None:
        """See WorkSource.wait. Ends no later than the next due time."""
        longest = min(timeout, IDLE_LOOK_SECONDS)
        if self._due_at is not None:
            longest = min(longest, self._due_at - self._clock.monotonic())
        if longest > 0:
            self._opened()
            assert self._wake_up is not None
            await self._wake_up.wait(longest)

    def lease_keeper(self) -> LeaseKeeper:
        """See WorkSource.lease_keeper."""
        consumer = self._opened().consumer
        return redis_lease_keeper(self._url, self._address, self._keys, self._settings, consumer)

    async def depth(self) -> QueueDepth:
        """See Queue.depth."""
        with translated(self._address):
            return await depth_of(self._client, self._keys)

    async def incarnation(self) -> str:
        """See Queue.incarnation."""
        return await incarnation(self._client, self._keys.prefix)

    async def close(self) -> None:
        """See WorkSource.close."""
        if self._wake_up is not None:
            await self._wake_up.close()
        try:
            if self._exchanger is not None:
                with translated(self._address):
                    async with asyncio.timeout(GOODBYE_SECONDS):
                        await self._exchanger.leave()
                        await self._deregister(self._exchanger.consumer)
                        await self._return_intake()
        except ConnectionLostError:
            return  # it stops counting as alive by itself
        finally:
            self._exchanger = None
            await self._client.aclose()

    async def _return_intake(self) -> None:
        """Put what wake-ups took back into the inbox, where workers of other kinds look too."""
        keys = self._keys
        for _ in range(await self._client.llen(keys.intake)):
            await self._client.lmove(keys.intake, keys.inbox, src="LEFT", dest="RIGHT")

    async def _register(self, consumer: str, kind: str, job_types: Sequence[str]) -> None:
        with translated(self._address):
            other = await _register.run(
                self._client,
                [self._keys.alive, self._keys.consumers],
                [consumer, kind, json.dumps(list(job_types)), alive_ms(self._settings)],
            )
        if other:
            raise QueueConflictError(
                f"queue {self._settings.name} already has {other.decode()} workers, "
                f"and this is a {kind} worker: give each kind a queue name of its own"
            )

    async def _deregister(self, consumer: str) -> None:
        await self._client.hdel(self._keys.consumers, consumer)
        await self._client.zrem(self._keys.alive, consumer)

    def _opened(self) -> Exchanger:
        if self._exchanger is None:
            raise RuntimeError("open() the queue before consuming from it")
        return self._exchanger
