"""The outbox: keys of changed documents, appended by the transaction that changed them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from shared.clock import Clock
from shared.postgres.port import Transaction
from shared.postgres.transaction import connection_of

CHANNEL = "worker_suite_outbox"
"""NOTIFY channel that wakes a sleeping relay. Only a hint: the rows are the truth."""

Change = tuple[str, str]
"""Source and id of a changed document."""


async def append(tx: Transaction, source: str, ids: Sequence[str]) -> None:
    """Record in the caller's Postgres transaction that documents changed."""
    await connection_of(tx).execute("SELECT worker_suite.outbox_append($1, $2)", source, list(ids))


class MemoryOutbox:
    """The outbox of the memory backend: what waits, what is being published, what was sent."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: list[Change] = []
        self._sent: list[tuple[float, Change]] = []
        self._filled = asyncio.Event()

    def append(self, source: str, ids: Sequence[str]) -> None:
        """Add changes; call it at the commit of the transaction that made them."""
        self._waiting.extend((source, document_id) for document_id in ids)
        if self._waiting:
            self._filled.set()

    def take(self, limit: int) -> list[Change]:
        """Remove and return up to `limit` of the oldest changes."""
        taken, self._waiting = self._waiting[:limit], self._waiting[limit:]
        if not self._waiting:
            self._filled.clear()
        return taken

    def put_back(self, changes: Sequence[Change]) -> None:
        """Return changes that could not be published."""
        self._waiting[:0] = changes
        self._filled.set()

    def sent(self, changes: Sequence[Change]) -> None:
        """Keep changes that were published for the replay window."""
        now = self._clock.monotonic()
        self._sent.extend((now, change) for change in changes)

    def sent_within(self, seconds: float) -> list[Change]:
        """Return what was sent in the last `seconds`, and forget what is older."""
        since = self._clock.monotonic() - seconds
        self._sent = [(at, change) for at, change in self._sent if at >= since]
        return [change for _, change in self._sent]

    async def filled(self) -> None:
        """Return when changes wait."""
        await self._filled.wait()
