"""The outbox of the memory database as a change source, for tests and trials."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress

from shared.documents.port import DocumentKey
from shared.postgres.memory import MemoryDatabase
from shared.postgres.outbox import Change
from sync.sources.port import Publish, QueueIdentity


class MemorySource:
    """Relays the changes of one MemoryDatabase."""

    def __init__(self, database: MemoryDatabase, *, replay_window_seconds: float = 3600.0) -> None:
        self._outbox = database.outbox
        self._window = replay_window_seconds
        self._incarnations: dict[str, str] = {}

    async def relay(self, publish: Publish, limit: int) -> int:
        """Take, publish, keep; see ChangeSource.relay."""
        taken = self._outbox.take(limit)
        if not taken:
            return 0
        try:
            await publish(_folded(taken))
        except BaseException:
            self._outbox.put_back(taken)
            raise
        self._outbox.sent(taken)
        return len(taken)

    async def replay(self, publish: Publish, queue: QueueIdentity | None = None) -> int:
        """Publish the window again; see ChangeSource.replay."""
        if queue and self._incarnations.get(queue.name) == queue.incarnation:
            return 0
        keys = _folded(self._outbox.sent_within(self._window))
        if keys:
            await publish(keys)
        if queue:
            self._incarnations[queue.name] = queue.incarnation
        return len(keys)

    async def wait(self, timeout: float) -> None:
        """Return when changes are there, or after `timeout` seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._outbox.filled()

    async def close(self) -> None:
        """Nothing to let go of."""


def _folded(changes: Iterable[Change]) -> list[DocumentKey]:
    return list(dict.fromkeys(DocumentKey(source, document_id) for source, document_id in changes))
