"""Installs and removes sources: functions, triggers, and the backfill of rows already there."""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg
import msgspec
from tenacity import (
    AsyncRetrying,
    retry_if_exception_type,
    stop_after_attempt,
    wait_random_exponential,
)

from shared.contracts.source_definition import SourceDefinition
from shared.errors import ConfigError, PermanentError, TransientError, UnknownSourceError
from shared.postgres.database import PostgresDatabase
from shared.postgres.transaction import connection_of
from sync.triggers import ddl
from sync.triggers.sql import statement
from sync.triggers.tables import Table, find_root, find_table

_REGISTER, _UNREGISTER = statement("register"), statement("unregister")
_STALE, _INSTALLED = statement("stale_functions"), statement("installed")
_BACKFILL_SECONDS = 6 * 3600.0


class Plan(msgspec.Struct, frozen=True):
    """Everything that an install will run, in its order."""

    functions: Sequence[str]
    triggers: Sequence[ddl.TableTriggers]
    backfill: str

    def statements(self) -> list[str]:
        """Return all statements, for people."""
        triggers = [sql for each in self.triggers for sql in each.statements]
        return [*self.functions, *triggers, self.backfill]


class Installer:
    """Changes users' tables, one short transaction a table.

    CREATE TRIGGER waits for a lock that holds up every writer behind it, so it waits at most
    `lock_timeout_seconds`, gives way, and tries again, `attempts` times in all.
    """

    def __init__(
        self, database: PostgresDatabase, *, lock_timeout_seconds: float = 2.0, attempts: int = 10
    ) -> None:
        self._database = database
        self._lock_timeout = f"{int(lock_timeout_seconds * 1000)}ms"
        self._attempts = attempts

    async def plan(self, definition: SourceDefinition) -> Plan:
        """Check a definition against the tables, and return what installing it would run.

        Raises ConfigError for a table that is missing or has no usable key, and for SQL that the
        server does not accept.
        """
        async with self._database.connection() as connection:
            schemas = definition.schemas
            root = await find_root(connection, definition.table, schemas, definition.key_columns)
            children = [
                (await find_table(connection, child.table, schemas))[1]
                for child in definition.children
            ]
        await self._check_keys(definition, root, children)
        return Plan(
            functions=ddl.document_functions(definition, root),
            triggers=ddl.table_triggers(definition, root, children),
            backfill=ddl.backfill(definition, root),
        )

    async def install(self, definition: SourceDefinition) -> int:
        """Register the source and put every present key into the outbox; return how many.

        May be repeated, with the same definition or a changed one. Raises ConfigError as `plan`
        does, TransientError when a table stays locked.
        """
        plan = await self.plan(definition)
        try:
            await self._run(plan.functions)
        except PermanentError as error:
            raise ConfigError(f"source {definition.source}: documents: {error}") from error
        async with self._database.connection() as connection:
            text = msgspec.json.encode(definition).decode()
            await connection.execute(_REGISTER, definition.source, text)
        for table in plan.triggers:
            await self._run(table.statements)
        await self._drop_triggers(definition.source, but=[each.function for each in plan.triggers])
        # Only now: a row written before its trigger was there has been committed by now.
        return await self._backfill(definition.source, plan.backfill)

    async def uninstall(self, source: str) -> None:
        """Remove triggers and functions of a source, and its changes that still wait.

        What the targets hold of it stays there. Raises UnknownSourceError, and TransientError
        when a table stays locked.
        """
        known = [definition.source for definition, _ in await self.installed()]
        if source not in known:
            raise UnknownSourceError(
                f"no source {source!r} is installed; installed are: {', '.join(known) or 'none'}"
            )
        await self._drop_triggers(source, but=[])
        prefix = f"DROP FUNCTION IF EXISTS worker_suite.source_{source}"
        functions = ("documents(text[])", "build(text[])", "keys(text, int)")
        await self._run([f"{prefix}_{function}" for function in functions])
        async with self._database.connection() as connection:
            await connection.execute(_UNREGISTER, source)

    async def installed(self) -> list[tuple[SourceDefinition, bool]]:
        """Return the definitions that are installed, and whether each one's backfill is done."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(_INSTALLED)
        return [
            (msgspec.json.decode(row["definition"], type=SourceDefinition), row["backfilled"])
            for row in rows
        ]

    async def _check_keys(
        self, definition: SourceDefinition, root: Table, children: Sequence[Table]
    ) -> None:
        """Try the queries now: in a trigger they would fail the user's own writes."""
        queries = [ddl.root_keys(definition), *(child.keys for child in definition.children)]
        path = ddl.search_path(definition.schemas)
        for position, (table, keys) in enumerate(zip([root, *children], queries, strict=True)):
            try:
                async with self._database.transaction() as tx:
                    await connection_of(tx).execute(f"SET LOCAL search_path = {path}")
                    await connection_of(tx).execute(ddl.check_keys(definition, table, keys))
            except PermanentError as error:
                field = f"children[{position - 1}].keys" if position else "id"
                raise ConfigError(f"source {definition.source}: {field}: {error}") from error

    async def _backfill(self, source: str, sql: str) -> int:
        async with self._database.transaction() as tx:
            connection = connection_of(tx)
            done = await connection.execute(sql, timeout=_BACKFILL_SECONDS)
            await connection.execute(
                "UPDATE worker_suite.sources SET backfilled_at = now() WHERE name = $1", source
            )
            await connection.execute("SELECT worker_suite.outbox_wake()")
        return int(done.rpartition(" ")[2])

    async def _drop_triggers(self, source: str, but: Sequence[str]) -> None:
        async with self._database.connection() as connection:
            stale = [row["proname"] for row in await connection.fetch(_STALE, source, list(but))]
        for function in stale:
            # With the function go its triggers, also from tables that somebody else owns.
            await self._run([f"DROP FUNCTION worker_suite.{function}() CASCADE"])

    async def _run(self, statements: Sequence[str]) -> None:
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(TransientError),
            stop=stop_after_attempt(self._attempts),
            wait=wait_random_exponential(multiplier=0.2, max=5.0),
            reraise=True,
        ):
            with attempt:
                async with self._database.transaction() as tx:
                    await _execute_all(connection_of(tx), self._lock_timeout, statements)


async def _execute_all(
    connection: asyncpg.Connection, lock_timeout: str, statements: Sequence[str]
) -> None:
    await connection.execute(f"SET LOCAL lock_timeout = '{lock_timeout}'")
    for sql in statements:
        await connection.execute(sql)
