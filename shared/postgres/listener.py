"""Waits for NOTIFY on a connection of its own; a hint only, so its loss costs time and no data."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import asyncpg

from shared.errors import ConnectionLostError, DependencyError
from shared.postgres.database import PostgresDatabase


class Listener:
    """Remembers that a channel was notified, and connects again when its connection is lost."""

    def __init__(self, database: PostgresDatabase, channel: str) -> None:
        self._database = database
        self._channel = channel
        self._connection: Any = None
        self._notified = asyncio.Event()

    async def wait(self, timeout: float) -> None:
        """Return after a notification, also one that came before the call, or after `timeout` s.

        Without a connection it is only the time that passes: callers poll in any case.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                with suppress(ConnectionLostError, DependencyError):
                    await self._connect()
                await self._notified.wait()
        self._notified.clear()

    async def close(self) -> None:
        """End the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()

    async def _connect(self) -> None:
        if self._connection is not None and not self._connection.is_closed():
            return
        connection = await self._database.dedicated_connection()
        try:
            await connection.add_listener(self._channel, self._on_notification)
        except BaseException:
            connection.terminate()
            raise
        connection.add_termination_listener(self._on_termination)
        self._connection = connection
        # What was notified while nobody listened is not told again: look once.
        self._notified.set()

    def _on_notification(self, *_: object) -> None:
        self._notified.set()

    def _on_termination(self, _: asyncpg.Connection) -> None:
        self._notified.set()
