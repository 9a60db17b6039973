"""The queue on Postgres 15 or later: one server for a small installation.

Durability: nothing that a call acknowledged is lost, whatever is killed or loses its power; that is
Postgres's default (`fsync` and `synchronous_commit` on). With `synchronous_commit = off` set on the
server, connections of the queue set it on again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from shared.clock import Clock, SystemClock
from shared.errors import ConfigError, ConnectionLostError, DependencyError, QueueConflictError
from shared.jobs import Job
from shared.postgres.listener import Listener
from shared.queue.message import decode_message, forgiving
from shared.queue.port import (
    InboxDecoder,
    Published,
    QueueDepth,
    QueueSettings,
    needs_of,
    require,
)
from shared.queue.postgres.capabilities import CAPABILITIES
from shared.queue.postgres.depth import depth_of
from shared.queue.postgres.exchanger import Exchanger, Registration, alive_seconds
from shared.queue.postgres.lease_keeper import PostgresLeaseKeeper
from shared.queue.postgres.publishing import PUBLISH, columns_of, keyed
from shared.queue.postgres.session import Session
from shared.queue.postgres.sql import statement
from shared.verdicts import Settlement
from shared.work_source import Exchange, LeaseKeeper

IDLE_LOOK_SECONDS = 1.0
"""An idle consumer looks at least this often, whatever became of its notifications."""
GOODBYE_SECONDS = 1.0
"""How long a server may take to hear that a consumer leaves; it would find out by itself."""
LISTEN_SECONDS = 5.0
MOST_PER_PUBLISH = 1000

_REGISTER = statement("register")
_LEAVE = statement("leave")
_INCARNATION = statement("incarnation")


class PostgresQueue:
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
        if "\x00" in settings.name:
            raise ConfigError("a queue's name in Postgres must not contain a NUL character")
        self._settings = settings
        self._url = url
        self._decoder = forgiving(decoder)
        self._clock = clock or SystemClock()
        self._session = Session(url)
        self._exchanger: Exchanger | None = None
        self._listener: Listener | None = None
        self._due_at: float | None = None

    async def open(self, worker_kind: str, job_types: Sequence[str]) -> None:
        """See Queue.open."""
        require(CAPABILITIES, *needs_of(self._settings))
        try:
            await self._session.open()
            row = await self._session.fetchrow(
                _REGISTER, self._settings.name, worker_kind, alive_seconds(self._settings)
            )
        except ConnectionLostError as error:
            raise DependencyError(str(error)) from error
        if row["other_kind"]:
            raise QueueConflictError(
                f"queue {self._settings.name} already has {row['other_kind']} workers, "
                f"and this is a {worker_kind} worker: give each kind a queue name of its own"
            )
        self._listener = Listener(self._session.database, row["channel"])
        await self._listener.wait(LISTEN_SECONDS)  # connects; what comes later is not missed
        self._exchanger = Exchanger(
            self._session,
            Registration(row["queue_id"], row["consumer"], worker_kind),
            self._settings,
            self._decoder,
            self._clock,
        )

    async def publish(self, jobs: Sequence[Job]) -> Published:
        """See Queue.publish. At most 1,000 jobs a transaction."""
        accepted = 0
        jobs = keyed(jobs)
        for at in range(0, len(jobs), MOST_PER_PUBLISH):
            columns = columns_of(jobs[at : at + MOST_PER_PUBLISH])
            accepted += await self._session.fetchval(PUBLISH, self._settings.name, *columns)
        return Published(accepted, len(jobs) - accepted)

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
        if longest > 0 and self._listener is not None:
            await self._listener.wait(longest)

    def lease_keeper(self) -> LeaseKeeper:
        """See WorkSource.lease_keeper."""
        return PostgresLeaseKeeper(self._url, self._settings, self._opened().registration)

    async def depth(self) -> QueueDepth:
        """See Queue.depth. Counts rows: on millions of jobs it takes the server a while."""
        return await depth_of(self._session, self._settings.name)

    async def incarnation(self) -> str:
        """See Queue.incarnation. Another one after a failover or a restore, too."""
        return str(await self._session.fetchval(_INCARNATION, self._settings.name))

    async def close(self) -> None:
        """See WorkSource.close."""
        exchanger, self._exchanger = self._exchanger, None
        listener, self._listener = self._listener, None
        if listener is not None:
            await listener.close()
        try:
            if exchanger is not None:
                async with asyncio.timeout(GOODBYE_SECONDS):
                    await self._session.fetchval(_LEAVE, exchanger.registration.consumer)
        except (ConnectionLostError, TimeoutError):
            return  # it stops counting as alive by itself
        finally:
            await self._session.close()

    def _opened(self) -> Exchanger:
        if self._exchanger is None:
            raise RuntimeError("open() the queue before consuming from it")
        return self._exchanger
