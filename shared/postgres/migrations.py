"""Numbered SQL files, one stream a package, applied once under one advisory lock."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Protocol

import asyncpg
import msgspec

from shared.errors import DependencyError

# Any fixed number does, as long as every version of the suite uses the same one.
_LOCK = 0x776F726B6572

_EXISTS = "SELECT to_regclass('worker_suite.migrations') IS NOT NULL"
_SCHEMA_EXISTS = "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = 'worker_suite')"
_CREATE_TABLE = """
CREATE TABLE IF NOT EXISTS worker_suite.migrations (
    stream text NOT NULL,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (stream, name)
)"""


class Migration(msgspec.Struct, frozen=True):
    """One SQL file."""

    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """Hex SHA-256 of the text."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


class LendsConnections(Protocol):
    """The part of PostgresDatabase that migrating needs."""

    def connection(self) -> AbstractAsyncContextManager[Any]:
        """Lend an asyncpg connection."""
        ...


async def migrate(database: LendsConnections, stream: str, directory: Path) -> None:
    """Apply the SQL files of `directory` that this stream lacks, in the order of their names.

    All or none, in one transaction; workers that start together wait for each other. Files the
    database has and the directory lacks are of a newer version, and left alone. Raises
    DependencyError when a file that was applied has been changed since.
    """
    migrations = _read(directory)
    async with database.connection() as connection:
        if not await _is_current(connection, stream, migrations):
            await _bring_up_to_date(connection, stream, migrations)


def _read(directory: Path) -> list[Migration]:
    return [
        Migration(path.name, path.read_text(encoding="utf-8"))
        for path in sorted(directory.glob("*.sql"))
    ]


async def _is_current(
    connection: asyncpg.Connection, stream: str, migrations: list[Migration]
) -> bool:
    if not await connection.fetchval(_EXISTS):
        return False
    return not _missing(migrations, await _applied(connection, stream), stream)


async def _bring_up_to_date(
    connection: asyncpg.Connection, stream: str, migrations: list[Migration]
) -> None:
    async with connection.transaction(isolation="read_committed"):
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
        # CREATE SCHEMA IF NOT EXISTS needs a right on the database even when the schema is there.
        if not await connection.fetchval(_SCHEMA_EXISTS):
            await connection.execute("CREATE SCHEMA worker_suite")
        await connection.execute(_CREATE_TABLE)
        for migration in _missing(migrations, await _applied(connection, stream), stream):
            await _apply(connection, stream, migration)


async def _applied(connection: asyncpg.Connection, stream: str) -> dict[str, str]:
    rows = await connection.fetch(
        "SELECT name, checksum FROM worker_suite.migrations WHERE stream = $1", stream
    )
    return {row["name"]: row["checksum"] for row in rows}


def _missing(
    migrations: list[Migration], applied: Mapping[str, str], stream: str
) -> list[Migration]:
    for migration in migrations:
        if applied.get(migration.name, migration.checksum) != migration.checksum:
            raise DependencyError(
                f"migration {stream}/{migration.name} was changed after it had been applied;"
                " this database belongs to another version of the suite"
            )
    return [migration for migration in migrations if migration.name not in applied]


async def _apply(connection: asyncpg.Connection, stream: str, migration: Migration) -> None:
    await connection.execute(migration.sql)
    await connection.execute(
        "INSERT INTO worker_suite.migrations (stream, name, checksum) VALUES ($1, $2, $3)",
        stream,
        migration.name,
        migration.checksum,
    )
