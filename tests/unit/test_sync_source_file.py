"""Source definitions: what a file says, and what is said about a wrong one."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.errors import ConfigError
from sync.source_file import load_source

GOOD = """\
source: orders
table: shop.orders
key: [tenant, no]
id: tenant || '/' || no
documents: |
  SELECT tenant || '/' || no, to_jsonb(orders) FROM orders
  WHERE tenant || '/' || no = ANY ($1)
children:
  - table: lines
    keys: SELECT tenant || '/' || order_no FROM changed
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "orders.yaml"


def test_a_definition_is_read_with_its_defaults(path: Path) -> None:
    path.write_text(GOOD)
    definition = load_source(path)
    assert (definition.source, definition.key_columns) == ("orders", ["tenant", "no"])
    assert definition.schemas == ["public"]
    assert [child.table for child in definition.children] == ["lines"]


def test_a_key_of_one_column_needs_no_list(path: Path) -> None:
    path.write_text(GOOD.replace("[tenant, no]", "no"))
    assert load_source(path).key_columns == ["no"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("source: orders", "source: Orders!", ":1: source: Expected `str` matching"),
        ("source: orders", "source: documents", ":1: source: 'documents' is the built-in source"),
        ("table: shop.orders\n", "", "missing required field `table`"),
        ("id: tenant || '/' || no\n", "", ":3: key: a key of several columns needs `id`"),
        ("ANY ($1)", "ANY (ids)", ":5: documents: the query does not use $1"),
        ("FROM changed", "FROM lines", ":10: children[0].keys: the query does not read from"),
        ("    keys:", "    kyes:", ":10: children[0].kyes: Object contains unknown field"),
        ("children:", "extra: 1\nchildren:", ":8: extra: Object contains unknown field `extra`"),
        ("  - table: lines", "  - table: a.b.c", ":9: children[0].table: Expected `str` matching"),
        ("key: [tenant, no]", "key: [tenant, no", ":"),
    ],
)
def test_what_is_wrong_is_said_with_file_line_and_field(
    path: Path, old: str, new: str, message: str
) -> None:
    assert old in GOOD
    path.write_text(GOOD.replace(old, new))
    with pytest.raises(ConfigError) as caught:
        load_source(path)
    assert f"{path}:" in str(caught.value)
    assert message in str(caught.value)


def test_a_child_table_that_is_listed_twice_is_refused(path: Path) -> None:
    child = GOOD[GOOD.index("  - table") :]
    path.write_text(GOOD + child)
    with pytest.raises(ConfigError, match="lines is listed twice"):
        load_source(path)


def test_a_file_that_cannot_be_read_is_named(path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read .*orders\.yaml: No such file"):
        load_source(path)
    path.write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_source(path)
