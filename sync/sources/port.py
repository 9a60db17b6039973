"""The change source port: which documents changed, from Postgres, at least once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import msgspec

from shared.documents.port import DocumentKey

Publish = Callable[[Sequence[DocumentKey]], Awaitable[None]]


class QueueIdentity(msgspec.Struct, frozen=True):
    """A queue, and the mark it keeps from birth to loss: another mark means that jobs are gone."""

    name: str
    incarnation: str


class OutboxDepth(msgspec.Struct, frozen=True):
    """How many changes wait to be published, and the age of the oldest in seconds."""

    depth: int
    oldest_age_seconds: float


class ChangeSource(Protocol):
    """A stream of changed keys. Order carries no meaning: every target reconciles by stamp."""

    async def relay(self, publish: Publish, limit: int) -> int:
        """Take up to `limit` changes, fold them by key, publish them, and only then let them go.

        Returns how many changes were taken; 0 when there were none. When `publish` raises or
        the process dies, the same changes come again. Several relays may run at once.
        """
        ...

    async def replay(self, publish: Publish, queue: QueueIdentity | None = None) -> int:
        """Publish again what was relayed within the replay window; for a queue that lost jobs.

        With a queue, only if its incarnation is not the one recorded; the new one is recorded
        once all is published. Returns how many keys were published.
        """
        ...

    async def wait(self, timeout: float) -> None:
        """Return when changes may be there, or after `timeout` seconds. May be cancelled."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...
