"""The SQL that makes a user's table a source: pure text, so that --dry-run can show all of it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import msgspec

from shared.contracts.source_definition import SourceDefinition
from sync.triggers.sql import statement
from sync.triggers.tables import Table, quote

# A key as the server writes it: an id in any other form names no row, and might not convert.
_CANONICAL = {
    "smallint": r"^(0|-?[1-9][0-9]{0,4})$",
    "integer": r"^(0|-?[1-9][0-9]{0,9})$",
    "bigint": r"^(0|-?[1-9][0-9]{0,18})$",
    "uuid": r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$",
}
_BEYOND = {"smallint": 2**15, "integer": 2**31, "bigint": 2**63}

_EVENTS = {
    "insert": ("AFTER", "REFERENCING NEW TABLE AS new_rows"),
    "update": ("AFTER", "REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows"),
    "delete": ("AFTER", "REFERENCING OLD TABLE AS old_rows"),
    "truncate": ("BEFORE", ""),
}


class TableTriggers(msgspec.Struct, frozen=True):
    """The triggers of one table and its partitions, and the function behind them."""

    function: str
    statements: Sequence[str]


def document_functions(definition: SourceDefinition, root: Table) -> list[str]:
    """Return the functions that the document store calls to build and to list documents."""
    values = {
        "source": definition.source,
        "documents": _one_query(definition.documents),
        "search_path": search_path(definition.schemas),
        "quote": _dollar_quote(definition.documents),
        "is_key": _is_key("" if definition.id else root.key_type),
        **_paged_rows(definition, root),
    }
    return [statement(name).format(**values) for name in ("build", "documents", "keys")]


def table_triggers(
    definition: SourceDefinition, root: Table, children: Sequence[Table]
) -> list[TableTriggers]:
    """Return function and triggers of the root table and of every child table."""
    return [
        _triggers(definition, "root", root, root_keys(definition)),
        *(
            _triggers(definition, "child", table, child.keys)
            for table, child in zip(children, definition.children, strict=True)
        ),
    ]


def root_keys(definition: SourceDefinition) -> str:
    """Return the query that maps changed rows of the root table to ids."""
    return f"SELECT {_id(definition)} FROM changed"  # noqa: S608 - SQL of the user's own file


def check_keys(definition: SourceDefinition, table: Table, keys: str) -> str:
    """Return a query that fails where the triggers would fail, and reads no row."""
    return _changed_ids(definition, f"TABLE {table.name} LIMIT 0", keys)


def backfill(definition: SourceDefinition, root: Table) -> str:
    """Return the statement that puts every present key into the outbox."""
    return statement("backfill").format(
        source=definition.source, id=_id(definition), table=root.name
    )


def _triggers(definition: SourceDefinition, role: str, table: Table, keys: str) -> TableTriggers:
    # Named after the table: a definition that moves to another table then leaves no trigger behind
    # that would run the new table's query on the old one's rows.
    mark = hashlib.sha256(f"{role} {table.name}".encode()).hexdigest()[:12]
    function = f"source_{definition.source}_changed_{mark}"
    create = statement("trigger_function").format(
        function=function,
        search_path=search_path(definition.schemas),
        quote=_dollar_quote(keys),
        of_inserted=_changed_ids(definition, "TABLE new_rows", keys),
        of_updated=_changed_ids(definition, "TABLE old_rows UNION ALL TABLE new_rows", keys),
        of_deleted=_changed_ids(definition, "TABLE old_rows", keys),
        of_truncated=_changed_ids(definition, f"TABLE {table.name}", keys),
    )
    triggers = [
        statement("trigger").format(
            name=f"worker_suite_{definition.source}_{mark[:6]}_{event}",
            time=time,
            event=event.upper(),
            table=each,
            rows=rows,
            function=function,
        )
        for each in (table.name, *table.partitions)
        for event, (time, rows) in _EVENTS.items()
    ]
    return TableTriggers(function, [create, *triggers])


def _changed_ids(definition: SourceDefinition, rows: str, keys: str) -> str:
    return statement("changed_ids").format(
        source=definition.source, rows=rows, keys=_one_query(keys)
    )


def _paged_rows(definition: SourceDefinition, root: Table) -> dict[str, str]:
    """Page by the key column, and so by its index, unless the id is an expression."""
    if definition.id:
        rows = f'(SELECT ({definition.id})::text COLLATE "C" AS key FROM {root.name})'  # noqa: S608
        return {"rows": rows, "key": "key", "after": "after"}
    key = quote(definition.key_columns[0])
    return {"rows": root.name, "key": key, "after": f"after::{root.key_type}"}


def _id(definition: SourceDefinition) -> str:
    return definition.id or f"{quote(definition.key_columns[0])}::text"


def _is_key(key_type: str) -> str:
    if key_type not in _CANONICAL:
        return "true"
    matches = f"key ~ '{_CANONICAL[key_type]}'"
    if key_type not in _BEYOND:
        return matches
    beyond = _BEYOND[key_type]
    # CASE, for the server evaluates AND in any order, and would convert what is no number.
    fits = f"key::numeric BETWEEN -{beyond} AND {beyond - 1}"
    return f"CASE WHEN {matches} THEN {fits} ELSE false END"


def search_path(schemas: Sequence[str]) -> str:
    """Return the search path of all SQL of a definition."""
    # pg_temp last, or a caller's temporary table could take the place of the user's.
    return ", ".join([*(quote(schema) for schema in schemas), "pg_temp"])


def _dollar_quote(sql: str) -> str:
    return f"$ws_{hashlib.sha256(sql.encode()).hexdigest()[:12]}$"


def _one_query(sql: str) -> str:
    return sql.strip().removesuffix(";")
