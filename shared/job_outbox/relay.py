"""Takes jobs from the outbox to their queue, and keeps them for a queue that loses its data."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec

from shared.errors import ConfigError, TransientError, WorkerSuiteError
from shared.jobs import Job
from shared.observability.logs import get_logger
from shared.postgres.database import PostgresDatabase
from shared.queue.port import Queue

FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 5.0
ASK_QUEUE_EVERY_SECONDS = 1.0
FORGET_EVERY_SECONDS = 60.0
PUBLISH_SECONDS = 10.0
"""How long a broker may take for a batch, while the transaction holds its rows."""
UNUSABLE = (ConfigError, ValueError)
"""What a queue raises for a job that it will never take, and msgspec for one that is none."""

_KNOWN = """
INSERT INTO worker_suite.job_outbox_queue AS known (name, incarnation) VALUES ($1, $2)
ON CONFLICT (name) DO UPDATE SET name = known.name RETURNING incarnation
"""
"""A conflict locks the row, so that the relays of a lost queue finish before its replay."""
_REBORN = "UPDATE worker_suite.job_outbox_queue SET incarnation = $2 WHERE name = $1"
_SHARE = "SELECT FROM worker_suite.job_outbox_queue WHERE name = $1 FOR SHARE"
_TAKE = """
SELECT seq, job FROM worker_suite.job_outbox WHERE queue = $1
ORDER BY seq LIMIT $2 FOR UPDATE SKIP LOCKED
"""
_MOVE = """
WITH taken AS (DELETE FROM worker_suite.job_outbox WHERE seq = ANY ($1) RETURNING seq, queue, job)
INSERT INTO worker_suite.job_outbox_sent (seq, queue, job) SELECT seq, queue, job FROM taken
"""
_SENT = """
SELECT seq, job FROM worker_suite.job_outbox_sent
WHERE queue = $1 AND sent_at > clock_timestamp() - make_interval(secs => $2) ORDER BY seq
"""
_FORGET = """
DELETE FROM worker_suite.job_outbox_sent
WHERE queue = $1 AND sent_at <= clock_timestamp() - make_interval(secs => $2)
"""
_REFUSE = """
WITH taken AS (
    DELETE FROM worker_suite.{table} WHERE queue = $1 AND seq = $2 RETURNING seq, queue, job
)
INSERT INTO worker_suite.job_outbox_refused (seq, queue, job, reason)
SELECT seq, queue, job, $3 FROM taken
"""
_REFUSE_NEW = _REFUSE.format(table="job_outbox")
_REFUSE_SENT = _REFUSE.format(table="job_outbox_sent")

_job = msgspec.json.Decoder(Job)
_log = get_logger(__name__)


class JobRelay:
    """A service that relays one queue's jobs; any number of them may run.

    A job is published before its row is moved, under its own key, so a relay that dies in between
    publishes it again, which a queue with `idempotent_publish` refuses while it has the job. When
    the queue's incarnation changes (a flush, a failover, another broker), what was relayed within
    the replay window is published again: jobs of the lost second come back, and others run twice.
    What a queue can never take, new or again, is moved to `job_outbox_refused` with the reason. A
    delay counts from the relay on.
    """

    def __init__(
        self,
        database: PostgresDatabase,
        name: str,
        queue: Queue,
        *,
        replay_window_seconds: float = 3600.0,
        batch: int = 1000,
        poll_seconds: float = 0.2,
    ) -> None:
        self._database = database
        self._name = name
        self._queue = queue
        self._window = replay_window_seconds
        self._batch = batch
        self._poll_seconds = poll_seconds
        self._incarnation = ""
        self._ask_at = 0.0
        self._forget_at = 0.0

    async def run(self, stop: asyncio.Event) -> None:
        """Relay until `stop` is set; what fails is tried again with growing pauses."""
        pause = FIRST_PAUSE_SECONDS
        while not stop.is_set():
            try:
                relayed = await self.step()
            except WorkerSuiteError as error:
                _log.warning("job_relay_failed", queue=self._name, error=str(error))
                await _unless(stop, pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
                continue
            pause = FIRST_PAUSE_SECONDS
            if not relayed:
                await _unless(stop, self._poll_seconds)

    async def step(self) -> int:
        """Heal the queue if it lost its data, then relay one batch; return how many jobs it was.

        Raises ConnectionLostError when database or broker is away; nothing is lost then.
        """
        now = asyncio.get_running_loop().time()
        if now >= self._ask_at:
            await self._replay_if_reborn()
            self._ask_at = now + ASK_QUEUE_EVERY_SECONDS
        if now >= self._forget_at:
            await self._forget()
            self._forget_at = now + FORGET_EVERY_SECONDS
        async with self._database.transaction() as tx:
            connection = tx.connection
            await connection.execute(_SHARE, self._name)
            rows = await connection.fetch(_TAKE, self._name, self._batch)
            taken = await self._publish(connection, rows, _REFUSE_NEW)
            await connection.execute(_MOVE, [row["seq"] for row in taken])
        return len(rows)

    async def _publish(self, connection: Any, rows: Sequence[Any], refuse: str) -> Sequence[Any]:
        """Publish rows, at once where all can be, else by halves; return those that were taken."""
        if not rows:
            return []
        try:
            await self._send(rows)
        except UNUSABLE as error:
            if len(rows) > 1:
                half = len(rows) // 2
                first = await self._publish(connection, rows[:half], refuse)
                return [*first, *await self._publish(connection, rows[half:], refuse)]
            _log.warning("job_refused_by_queue", queue=self._name, reason=str(error))
            await connection.execute(refuse, self._name, rows[0]["seq"], str(error))
            return []
        return rows

    async def _send(self, rows: Sequence[Any]) -> None:
        jobs = [_job.decode(row["job"]) for row in rows]
        try:
            async with asyncio.timeout(PUBLISH_SECONDS):
                await self._queue.publish(jobs)
        except TimeoutError as error:
            raise TransientError(
                f"{self._name} did not take {len(jobs)} jobs in {PUBLISH_SECONDS:g} s"
            ) from error

    async def _replay_if_reborn(self) -> None:
        incarnation = await self._queue.incarnation()
        if incarnation == self._incarnation:
            return
        replayed = 0
        async with self._database.transaction() as tx:
            known = await tx.connection.fetchval(_KNOWN, self._name, incarnation)
            if known != incarnation:
                replayed = await self._replay(tx.connection)
                await tx.connection.execute(_REBORN, self._name, incarnation)
        _log.info("queue_identified", queue=self._name, replayed=replayed)
        self._incarnation = incarnation

    async def _replay(self, connection: Any) -> int:
        count = 0
        cursor = await connection.cursor(_SENT, self._name, self._window)
        while rows := await cursor.fetch(self._batch):
            count += len(await self._publish(connection, rows, _REFUSE_SENT))
        return count

    async def _forget(self) -> None:
        async with self._database.transaction() as tx:
            await tx.connection.execute(_FORGET, self._name, self._window)


async def _unless(stop: asyncio.Event, seconds: float) -> None:
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait({stopping}, timeout=seconds)
    stopping.cancel()
