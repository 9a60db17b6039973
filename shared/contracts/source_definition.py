"""The form of a source definition: one YAML file that makes a user's own table a source."""

from __future__ import annotations

from typing import Annotated

import msgspec

SourceName = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
TableName = Annotated[str, msgspec.Meta(pattern=r'^[^."\s]{1,63}(\.[^."\s]{1,63})?$')]
ColumnName = Annotated[str, msgspec.Meta(min_length=1, max_length=63)]
Sql = Annotated[str, msgspec.Meta(min_length=1)]


class ChildTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table whose rows are part of documents."""

    table: TableName
    keys: Sql
    """Query that returns the ids of the documents that rows of `changed` belong to; `changed` has
    the table's columns and holds the rows as they were and as they are."""


class SourceDefinition(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A source: a root table with one row a document, and the SQL that builds the documents."""

    source: SourceName
    table: TableName
    key: ColumnName | Annotated[list[ColumnName], msgspec.Meta(min_length=1, max_length=8)]
    """Columns of the root table that name a row: unique together, and never null."""
    id: str = ""
    """SQL expression over the key columns that makes a document's id; needed for several columns.
    The default is the key as text."""
    schemas: Annotated[list[ColumnName], msgspec.Meta(min_length=1)] = msgspec.field(
        default_factory=lambda: ["public"]
    )
    """Where names without a schema are looked up, in all the SQL of this definition."""
    documents: Sql
    """Query with the parameter $1 (text[], ids) that returns rows (id text, body jsonb), one a
    document; a document that it leaves out, or whose body is null, is absent from the targets."""
    children: list[ChildTable] = []

    @property
    def key_columns(self) -> list[str]:
        """The key as a list of columns."""
        return [self.key] if isinstance(self.key, str) else self.key
