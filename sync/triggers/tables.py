"""What the catalogue says about a user's table, and whether it can be a source."""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg
import msgspec

from shared.errors import ConfigError
from sync.triggers.sql import statement

_FIND, _PARTITIONS = statement("find_table"), statement("partitions")
_COLUMNS, _IS_UNIQUE = statement("columns"), statement("is_unique")
_ORDINARY, _PARTITIONED = "r", "p"


class Table(msgspec.Struct, frozen=True):
    """A table by its quoted name, with its partitions: they are written to directly, too."""

    name: str
    partitions: Sequence[str] = ()
    key_type: str = ""
    """SQL type of the key, when it is one column."""


async def find_table(
    connection: asyncpg.Connection, name: str, schemas: Sequence[str]
) -> tuple[int, Table]:
    """Return oid and description of a table.

    Raises ConfigError when it is missing, or triggers cannot be put on it.
    """
    schema, _, relation = name.rpartition(".")
    where = [schema] if schema else list(schemas)
    row = await connection.fetchrow(_FIND, where, relation)
    if row is None:
        raise ConfigError(f"there is no table {relation} in {', '.join(where)}")
    if row["kind"] not in (_ORDINARY, _PARTITIONED):
        raise ConfigError(f"{name} is not a table: changes of a view or a foreign table go unseen")
    partitions = await connection.fetch(_PARTITIONS, row["oid"])
    return row["oid"], Table(_quoted(row), [_quoted(each) for each in partitions])


async def find_root(
    connection: asyncpg.Connection, name: str, schemas: Sequence[str], key: Sequence[str]
) -> Table:
    """Return a table and the type of its key.

    Raises ConfigError when the table cannot be a source, or the key cannot name its rows.
    """
    oid, table = await find_table(connection, name, schemas)
    columns = {row["name"]: row for row in await connection.fetch(_COLUMNS, oid)}
    for column in key:
        if column not in columns:
            raise ConfigError(f"{name} has no column {column}; it has: {', '.join(columns)}")
        if not columns[column]["not_null"]:
            raise ConfigError(f"{name} has no usable key: {column} may be null")
    if not await connection.fetchval(_IS_UNIQUE, oid, list(key)):
        raise ConfigError(
            f"{name} has no usable key: no unique index on ({', '.join(key)}) is there"
        )
    key_type = columns[key[0]]["type"] if len(key) == 1 else ""
    return msgspec.structs.replace(table, key_type=key_type)


def quote(identifier: str) -> str:
    """Quote one identifier for SQL."""
    return '"' + identifier.replace('"', '""') + '"'


def _quoted(row: asyncpg.Record) -> str:
    return f"{quote(row['schema'])}.{quote(row['name'])}"
