"""The memory backend: its transactions, and the window of its outbox."""

from __future__ import annotations

import pytest

from shared.clock import FrozenClock
from shared.postgres.memory import MemoryDatabase, memory_of
from shared.postgres.outbox import MemoryOutbox
from shared.postgres.transaction import PostgresTransaction


async def test_writes_reach_the_table_at_the_commit_and_not_before() -> None:
    table = {"a": 1}
    async with MemoryDatabase().transaction() as tx:
        view = memory_of(tx).view(table)
        view["a"], view["b"] = 2, 3
        assert dict(memory_of(tx).view(table)) == {"a": 2, "b": 3}
        assert table == {"a": 1}
    assert table == {"a": 2, "b": 3}


async def test_a_transaction_left_by_an_exception_leaves_nothing() -> None:
    table: dict[str, int] = {}
    done: list[str] = []

    async def fail() -> None:
        async with MemoryDatabase().transaction() as tx:
            memory_of(tx).view(table)["a"] = 1
            memory_of(tx).at_commit(lambda: done.append("committed"))
            raise KeyError

    with pytest.raises(KeyError):
        await fail()
    assert (table, done) == ({}, [])


def test_a_transaction_of_postgres_is_refused() -> None:
    with pytest.raises(TypeError, match="PostgresTransaction"):
        memory_of(PostgresTransaction(None))


def test_what_was_sent_is_kept_for_the_window_only() -> None:
    clock = FrozenClock()
    outbox = MemoryOutbox(clock)
    outbox.sent([("s", "old")])
    clock.advance(3000)
    outbox.sent([("s", "new")])
    clock.advance(700)
    assert outbox.sent_within(3600) == [("s", "new")]
