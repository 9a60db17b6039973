"""The outbox table as a change source."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import asyncpg

from shared.clock import Clock, SystemClock
from shared.documents.port import DocumentKey
from shared.errors import TransientError
from shared.observability.logs import get_logger
from shared.postgres.database import PostgresDatabase
from shared.postgres.listener import Listener
from shared.postgres.outbox import CHANNEL
from shared.postgres.transaction import connection_of
from sync.sources.port import OutboxDepth, Publish, QueueIdentity
from sync.sources.sql import statement

_TAKE, _SENT, _DEPTH = statement("take"), statement("sent"), statement("depth")
_CLAIM_QUEUE, _LAST_RELAY = statement("claim_queue"), statement("last_relay")
_ROLL = "SELECT worker_suite.outbox_sent_roll(make_interval(secs => $1))"
_ROLL_EVERY_SECONDS = 60.0
_REPLAY_CHUNK = 1000

_log = get_logger(__name__)


class OutboxSource:
    """Relays outbox rows, and keeps what was relayed for the replay window.

    Rows are held by row locks, not by a lease column, across the publish: a lease would write
    each row twice, and a killed relay would keep its rows until the lease ran out, while a lost
    connection frees them at once. Nobody but other relays wants those rows, and they skip locked
    ones. The publish is bounded by `publish_seconds`, and the server ends the transaction of a
    relay that hangs for longer.
    """

    def __init__(
        self,
        database: PostgresDatabase,
        *,
        replay_window_seconds: float = 3600.0,
        publish_seconds: float = 10.0,
        clock: Clock | None = None,
    ) -> None:
        self._database = database
        self._window = replay_window_seconds
        self._publish_seconds = publish_seconds
        self._clock = clock or SystemClock()
        self._listener = Listener(database, CHANNEL)
        self._next_roll = 0.0

    async def relay(self, publish: Publish, limit: int) -> int:
        """Take, publish, move; see ChangeSource.relay.

        Raises TransientError when the publish takes too long, or whatever it raises.
        """
        await self._roll_partitions()
        async with self._database.transaction() as tx:
            connection = connection_of(tx)
            # The lock lets a replay wait until what we publish to a lost queue is in outbox_sent.
            await connection.execute(
                f"{self._hang_guard()}; SELECT FROM worker_suite.outbox_queue FOR SHARE"
            )
            rows = await self._take(connection, limit)
            if rows:
                await self._publish(publish, _folded(rows))
        if len(rows) == limit:
            await self._set_asleep(False)
        return len(rows)

    async def replay(self, publish: Publish, queue: QueueIdentity | None = None) -> int:
        """Publish the window again; see ChangeSource.replay."""
        async with self._database.transaction() as tx:
            connection = connection_of(tx)
            await connection.execute(self._hang_guard())
            if queue and await _recorded_incarnation(connection, queue.name) == queue.incarnation:
                return 0
            count = await self._publish_sent(connection, publish)
            if queue:
                await connection.execute(
                    "UPDATE worker_suite.outbox_queue SET incarnation = $2 WHERE name = $1",
                    queue.name,
                    queue.incarnation,
                )
        return count

    async def wait(self, timeout: float) -> None:
        """Return when changes may be there; see ChangeSource.wait."""
        if not await self._set_asleep(True):
            await self._listener.wait(timeout)

    async def depth(self) -> OutboxDepth:
        """Return how much waits, and for how long."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(_DEPTH)
        return OutboxDepth(row["depth"], row["oldest"])

    async def last_relay_seconds_ago(self) -> float | None:
        """Return the age of the newest relayed change that is kept; None when there is none."""
        async with self._database.connection() as connection:
            ago = await connection.fetchval(_LAST_RELAY)
        return None if ago is None else float(ago)

    async def close(self) -> None:
        """End the listening connection; the database belongs to the caller."""
        await self._listener.close()

    async def _take(self, connection: asyncpg.Connection, limit: int) -> Sequence[Any]:
        try:
            return list(await connection.fetch(_TAKE, limit))
        except asyncpg.CheckViolationError:
            # The server's clock jumped to a time without a partition: make one before the next try.
            self._next_roll = 0.0
            raise

    async def _publish_sent(self, connection: asyncpg.Connection, publish: Publish) -> int:
        count = 0
        cursor = await connection.cursor(_SENT, self._window)
        while rows := await cursor.fetch(_REPLAY_CHUNK):
            await self._publish(publish, _folded(rows))
            count += len(rows)
        return count

    async def _publish(self, publish: Publish, keys: Sequence[DocumentKey]) -> None:
        try:
            async with asyncio.timeout(self._publish_seconds):
                await publish(keys)
        except TimeoutError as error:
            raise TransientError(
                f"the queue did not take {len(keys)} jobs in {self._publish_seconds:g} s"
            ) from error

    def _hang_guard(self) -> str:
        milliseconds = int(self._publish_seconds * 3000)
        return f"SET LOCAL idle_in_transaction_session_timeout = {milliseconds}"

    async def _roll_partitions(self) -> None:
        if self._clock.monotonic() < self._next_roll:
            return
        self._next_roll = self._clock.monotonic() + _ROLL_EVERY_SECONDS
        try:
            async with self._database.transaction() as tx:
                # Rather later than in the way of relays at work: partitions are made ahead.
                await connection_of(tx).execute("SET LOCAL lock_timeout = '2s'")
                await connection_of(tx).execute(_ROLL, self._window)
        except TransientError as error:
            _log.warning("outbox_roll_postponed", error=str(error))

    async def _set_asleep(self, asleep: bool) -> bool:
        """Say whether writers shall wake us; return whether that was news.

        If it was, a writer may have committed in silence a moment ago: look once more.
        """
        async with self._database.connection() as connection:
            done = await connection.execute(
                "UPDATE worker_suite.outbox_relay SET asleep = $1 WHERE asleep <> $1", asleep
            )
        return bool(done != "UPDATE 0")


async def _recorded_incarnation(connection: asyncpg.Connection, queue: str) -> str:
    await connection.execute(_CLAIM_QUEUE, queue)
    recorded = await connection.fetchval(
        "SELECT incarnation FROM worker_suite.outbox_queue WHERE name = $1 FOR UPDATE", queue
    )
    return str(recorded)


def _folded(rows: Iterable[Mapping[str, str]]) -> list[DocumentKey]:
    return list(dict.fromkeys(DocumentKey(row["source"], row["id"]) for row in rows))
