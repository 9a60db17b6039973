"""A queue in Postgres under test."""

from __future__ import annotations

from typing import Any

from shared.queue.administration import QueueAdmin
from shared.queue.message import decode_message
from shared.queue.port import InboxDecoder, Queue, QueueSettings
from shared.queue.postgres.admin import PostgresQueueAdmin
from shared.queue.postgres.queue import PostgresQueue
from shared.queue.postgres.session import Session
from tests.contracts.queue.harness import Harness

_EXPIRE = """
UPDATE worker_suite.queue_job SET due_at = clock_timestamp()
WHERE state = 'leased' AND queue_id = worker_suite.queue_number($1)
"""
_RIPEN = """
UPDATE worker_suite.queue_job AS job SET due_at = clock_timestamp() + at * interval '1 us'
FROM (
    SELECT key, row_number() OVER (ORDER BY due_at) - count(*) OVER () AS at
    FROM worker_suite.queue_job
    WHERE state = 'delayed' AND queue_id = worker_suite.queue_number($1)
) AS ordered
WHERE job.queue_id = worker_suite.queue_number($1) AND job.key = ordered.key
"""
_END_WINDOWS = """
UPDATE worker_suite.queue_window SET ends = ends - interval '1 day'
WHERE queue_id = worker_suite.queue_number($1)
"""
_PUSH = "INSERT INTO worker_suite.queue_inbox (queue, message) VALUES ($1, $2)"
_PUSH_BYTES = "INSERT INTO worker_suite.queue_inbox (queue, raw) VALUES ($1, $2)"


class PostgresHarness(Harness):
    """The adapter on a real server; time passes by moving times into the past."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._session = Session(url)
        self._open.push_async_callback(self._session.close)

    def queue(self, settings: QueueSettings, decoder: InboxDecoder = decode_message) -> Queue:
        return PostgresQueue(settings, self.url, decoder=decoder)

    def admin(self) -> QueueAdmin:
        admin = PostgresQueueAdmin(self.settings, self.url)
        self._open.push_async_callback(admin.close)
        return admin

    async def push(self, *messages: bytes) -> None:
        """Push texts as texts, and what cannot be one as bytes."""
        for message in messages:
            try:
                await self._run(_PUSH, _text(message))
            except ValueError:
                await self._run(_PUSH_BYTES, message)

    async def expire_leases(self) -> None:
        await self._run(_EXPIRE)

    async def ripen(self) -> None:
        await self._run(_RIPEN)

    async def end_windows(self) -> None:
        await self._run(_END_WINDOWS)

    async def _run(self, statement: str, *arguments: Any) -> None:
        await self._session.fetch(statement, self.settings.name, *arguments)


def _text(message: bytes) -> str:
    text = message.decode()
    if "\x00" in text:
        raise ValueError("a text of Postgres holds no NUL")
    return text
