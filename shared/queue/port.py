"""The job queue port: what every broker adapter must do, and what it may say it cannot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from shared.jobs import Job
from shared.work_source import WorkSource


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What an adapter can do beyond the core promises. Data, never pretended."""

    fence: bool
    crash_count: bool
    free_snooze: bool
    priority: bool
    deduplication: bool
    lease_per_message: bool
    out_of_order_settlement: bool
    cancel: bool
    pause: bool
    oldest_ready_age: bool


class QueueSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the three workers and every adapter agree on for one queue."""

    name: str
    lease_seconds: float = 30.0
    """How long a delivery belongs to its worker without renewal."""
    max_crashes: int = 3
    """A job whose lease expired this often becomes a dead letter."""
    unknown_type_patience_seconds: float = 600.0
    """How long a job of an unknown type is snoozed (a rolling upgrade may know it) before it is
    dead-lettered."""


class Published(msgspec.Struct, frozen=True):
    """How many jobs were taken, and how many were already there (same key or deduplication)."""

    accepted: int
    duplicates: int = 0


class QueueDepth(msgspec.Struct, frozen=True, kw_only=True):
    """How much waits where."""

    inbox: int = 0
    """Messages other programs pushed and no worker has read yet."""
    ready: int = 0
    delayed: int = 0
    leased: int = 0
    dead: int = 0
    oldest_ready_age_seconds: float | None = None
    """None when nothing is ready, or the broker cannot tell (see Capabilities)."""


class DeadLetterRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A job that will not be tried again until a person replays it."""

    key: str
    reason: str
    died_at: float
    """Seconds since the epoch, by the queue's clock."""
    attempts: int
    crashes: int
    job: Job | None
    """None when the message could not be read; `raw` then has its bytes."""
    raw: bytes = b""


class Queue(WorkSource, Protocol):
    """A durable job queue.

    Core promises, kept by every adapter and checked by the contract suite: at least once;
    nothing is dropped and nothing loops for ever; retry with delay; dead letters with reason and
    replay; poison jobs end; unstarted work is handed back; it reconnects by itself; nothing is
    lost on SIGTERM, SIGKILL, server restart, or a cut connection, at the durability setting that
    the adapter names.
    """

    @property
    def capabilities(self) -> Capabilities:
        """What this adapter can do beyond the core promises."""
        ...

    async def open(self, worker_kind: str, job_types: Sequence[str]) -> None:
        """Connect, check the server's settings, and register as a consumer of these job types.

        Raises DependencyError when the server is missing or may lose data, QueueConflictError
        when a worker of another kind consumes this queue. Producers need not call it.
        """
        ...

    async def publish(self, jobs: Sequence[Job]) -> Published:
        """Store jobs; when this returns they survive what the durability setting says."""
        ...

    async def depth(self) -> QueueDepth:
        """Return how much waits where."""
        ...

    async def incarnation(self) -> str:
        """Name this life of the queue's data; another name means that jobs may have been lost."""
        ...


InboxDecoder = Callable[[bytes], Job]
"""Reads a message that a program in any language pushed; raises ValueError when it cannot.

The queue makes the key, whatever the decoder sets.
"""


class QueueAdmin(Protocol):
    """What a person does to a queue. Small, and apart from what workers need."""

    async def dead_letters(
        self, *, limit: int = 100, offset: int = 0
    ) -> Sequence[DeadLetterRecord]:
        """List dead letters, oldest first."""
        ...

    async def replay(self, keys: Sequence[str]) -> int:
        """Make dead letters ready again, with fresh counts; return how many there were."""
        ...

    async def purge(self, keys: Sequence[str]) -> int:
        """Delete dead letters for good; return how many there were."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...
