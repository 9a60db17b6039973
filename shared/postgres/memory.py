"""A database in this process: the backend of the memory stores."""

from __future__ import annotations

import asyncio
from collections import ChainMap
from collections.abc import AsyncIterator, Callable, MutableMapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from shared.clock import Clock, SystemClock
from shared.postgres.outbox import MemoryOutbox
from shared.postgres.port import Transaction

K = TypeVar("K")
V = TypeVar("V")


class MemoryTransaction:
    """Keeps what stores write until the commit; on rollback it is forgotten."""

    def __init__(self) -> None:
        self._views: dict[int, tuple[dict[Any, Any], ChainMap[Any, Any]]] = {}
        self._at_commit: list[Callable[[], None]] = []

    def view(self, table: dict[K, V]) -> MutableMapping[K, V]:
        """Return `table` as this transaction sees it; writes reach the table at the commit.

        Keys of the table can be replaced, not deleted: mark values instead.
        """
        _, view = self._views.setdefault(id(table), (table, ChainMap({}, table)))
        return view

    def at_commit(self, apply: Callable[[], None]) -> None:
        """Run `apply` when the transaction commits."""
        self._at_commit.append(apply)

    def commit(self) -> None:
        """Carry out everything; it cannot be seen half done, for nothing awaits in between."""
        for table, view in self._views.values():
            table.update(view.maps[0])
        for apply in self._at_commit:
            apply()


class MemoryDatabase:
    """Opens transactions one after the other; a transaction within another would wait for ever."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.outbox = MemoryOutbox(clock or SystemClock())
        self._one_at_a_time = asyncio.Lock()

    async def open(self) -> None:
        """Nothing to connect to."""

    async def close(self) -> None:
        """Nothing to let go of."""

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[MemoryTransaction]:
        """Commit on leaving, forget all writes when leaving by an exception."""
        async with self._one_at_a_time:
            tx = MemoryTransaction()
            yield tx
            tx.commit()


def memory_of(tx: Transaction) -> MemoryTransaction:
    """Return the transaction of the memory backend; raises TypeError for another backend's."""
    if not isinstance(tx, MemoryTransaction):
        raise TypeError(f"a memory adapter was given a {type(tx).__name__}")
    return tx
