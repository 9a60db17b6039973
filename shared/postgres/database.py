"""Postgres as a Database: a pool that reconnects by itself, and transactions on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg

from shared.errors import ConnectionLostError, DependencyError
from shared.postgres.failures import translated, translated_connecting
from shared.postgres.migrations import migrate
from shared.postgres.transaction import PostgresTransaction

SCHEMA = "worker_suite"
OLDEST_VERSION = 15
_OWN_SCHEMA = Path(__file__).parent / "schema"

_CONNECT_SECONDS = 10.0
_COMMAND_SECONDS = 60.0
_IDLE_SECONDS = 300.0


class PostgresDatabase:
    """Connections to one database, with the suite's schema first on their search path.

    Connections are kept without session state: use no SET, no session advisory lock and no
    temporary table outside of a transaction, for nothing is reset when one is given back.
    """

    def __init__(self, url: str, *, max_connections: int = 10) -> None:
        """Keep the settings; connects to nothing before `open`."""
        self._url = url
        self._max_connections = max_connections
        self._pool: asyncpg.Pool | None = None
        self._address = address_of(url)

    async def open(self) -> None:
        """Connect, check the server, and create or update the suite's schema.

        Raises DependencyError, without the password, when the server is missing, refuses the
        login, is older than 15, or is a standby.
        """
        with translated_connecting(self._address):
            pool = asyncpg.create_pool(
                self._url,
                min_size=0,
                max_size=self._max_connections,
                timeout=_CONNECT_SECONDS,
                command_timeout=_COMMAND_SECONDS,
                max_inactive_connection_lifetime=_IDLE_SECONDS,
                server_settings=self._server_settings(),
                init=_keep_commits_durable,
                reset=_nothing_to_reset,
            )
        self._pool = await pool
        try:
            async with self.connection() as connection:
                await self._check_server(connection)
            await migrate(self, "shared", _OWN_SCHEMA)
        except ConnectionLostError as error:
            await self.close()
            raise DependencyError(str(error)) from error
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Close the connections; those in use are given a second to finish."""
        if self._pool is None:
            return
        pool, self._pool = self._pool, None
        try:
            async with asyncio.timeout(1.0):
                await pool.close()
        except TimeoutError:
            pool.terminate()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Any]:
        """Lend an asyncpg connection, for adapters: each statement is a transaction of its own.

        Raises ConnectionLostError when the server cannot be reached or goes away.
        """
        pool = self._pool  # `close` may forget it meanwhile
        if pool is None:
            raise ConnectionLostError("the database is not open")
        with translated_connecting(self._address):
            connection = await pool.acquire(timeout=_CONNECT_SECONDS)
        try:
            with translated():
                yield connection
        finally:
            await pool.release(connection, timeout=_CONNECT_SECONDS)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[PostgresTransaction]:
        """Open a READ COMMITTED transaction; see Database.transaction."""
        async with self.connection() as connection:
            async with connection.transaction(isolation="read_committed"):
                yield PostgresTransaction(connection)

    async def dedicated_connection(self) -> Any:
        """Return a connection outside of the pool, for LISTEN; the caller closes it."""
        with translated_connecting(self._address):
            return await asyncpg.connect(
                self._url,
                timeout=_CONNECT_SECONDS,
                server_settings=self._server_settings(),
            )

    def _server_settings(self) -> dict[str, str]:
        return {"search_path": f"{SCHEMA}, public", "application_name": "worker-suite"}

    async def _check_server(self, connection: asyncpg.Connection) -> None:
        version = connection.get_server_version()
        if version.major < OLDEST_VERSION:
            raise DependencyError(
                f"Postgres at {self._address} is version {version.major};"
                f" {OLDEST_VERSION} or later is needed"
            )
        path = await connection.fetchval("SHOW search_path")
        if not path.startswith(SCHEMA):
            raise DependencyError(
                f"something between us and Postgres at {self._address} drops the settings of the"
                " connection; connect to the server itself or to a session pool"
            )
        if await connection.fetchval("SELECT pg_is_in_recovery()"):
            raise DependencyError(
                f"Postgres at {self._address} is a standby; documents are read on the primary only"
            )


def address_of(url: str) -> str:
    """Return host, port and database of a URL, for messages; never the password."""
    try:
        parts = urlsplit(url)
        return f"{parts.hostname or 'localhost'}:{parts.port or 5432}{parts.path}"
    except ValueError:
        return "the address in DATABASE_URL"


async def _keep_commits_durable(connection: asyncpg.Connection) -> None:
    # With commits that are not flushed, a crash could hand out a stamp for the second time.
    await connection.execute(
        "SELECT set_config('synchronous_commit', 'on', false)"
        " WHERE current_setting('synchronous_commit') = 'off'"
    )


async def _nothing_to_reset(connection: asyncpg.Connection) -> None:
    """Save the round trip of RESET ALL; asyncpg itself rolls an open transaction back."""
