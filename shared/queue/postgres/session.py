"""One user's connections to the queue's database, opened at the first call."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import asyncpg

from shared.errors import ConnectionLostError, DependencyError, TransientError
from shared.postgres.database import PostgresDatabase
from shared.postgres.migrations import migrate

_SCHEMA = Path(__file__).parent / "schema"
_CONNECTIONS = 3
_ATTEMPTS = 5

T = TypeVar("T")


async def open_queue_tables(database: PostgresDatabase) -> None:
    """Create or update the tables of the queues. Raises as `migrate`."""
    await migrate(database, "queue", _SCHEMA)


class Session:
    """Carries out statements; each is a transaction of its own.

    Raises ConnectionLostError when the server cannot be reached, or refuses for now (a standby
    that is being promoted, a full disk); DependencyError when it cannot be used, such as for its
    version.
    """

    def __init__(self, url: str) -> None:
        self.database = PostgresDatabase(url, max_connections=_CONNECTIONS)
        self._opening = asyncio.Lock()
        self._is_open = False

    async def open(self) -> None:
        """Connect, check the server, and make the tables, unless that was done."""
        async with self._opening:
            if self._is_open:
                return
            try:
                await self.database.open()
            except DependencyError as error:
                if isinstance(error.__cause__, ConnectionLostError):
                    raise error.__cause__ from None
                raise
            await open_queue_tables(self.database)
            self._is_open = True

    async def fetch(self, statement: str, *arguments: Any) -> Any:
        """Return all rows."""
        return await self._run(lambda connection: connection.fetch(statement, *arguments))

    async def fetchrow(self, statement: str, *arguments: Any) -> Any:
        """Return the first row, or None."""
        return await self._run(lambda connection: connection.fetchrow(statement, *arguments))

    async def fetchval(self, statement: str, *arguments: Any) -> Any:
        """Return the first value of the first row."""
        return await self._run(lambda connection: connection.fetchval(statement, *arguments))

    async def close(self) -> None:
        """Let go of the connections."""
        self._is_open = False
        await self.database.close()

    async def _run(self, call: Callable[[Any], Awaitable[T]]) -> T:
        """Carry out; again when it was the one that the server chose out of a deadlock."""
        if not self._is_open:
            await self.open()
        for left in reversed(range(_ATTEMPTS)):
            try:
                async with self.database.connection() as connection:
                    return await call(connection)
            except TransientError as error:
                if not left or not isinstance(error.__cause__, asyncpg.DeadlockDetectedError):
                    raise ConnectionLostError(str(error)) from error  # callers repeat this one
        raise AssertionError("unreachable")
