"""The second small port of a queue: what a person does to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec

from shared.jobs import Job
from shared.queue.port import Capabilities, QueueDepth

State = Literal["inbox", "ready", "delayed", "leased", "dead"]
STATES: tuple[State, ...] = ("inbox", "ready", "delayed", "leased", "dead")


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


class JobRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One job as it lies in the queue now."""

    key: str
    """Empty for a message of the inbox, which gets its key when it is claimed."""
    state: State
    job: Job | None
    """None when the message cannot be read; `raw` then has its bytes."""
    raw: bytes = b""
    attempts: int = 0
    """Executions that failed so far."""
    crashes: int = 0
    due_in_seconds: float | None = None
    """Until it is ready (delayed), or until its lease ends unless renewed (leased)."""
    reason: str = ""
    """Of a dead letter."""
    died_at: float = 0.0
    """Seconds since the epoch; 0 for all but dead letters."""


class QueueAdmin(Protocol):
    """What a person does to a queue. Small, and apart from what workers need.

    A method whose capability is lacking raises ConfigError, with the reason.
    """

    @property
    def capabilities(self) -> Capabilities:
        """The same as those of the queue."""
        ...

    async def depth(self) -> QueueDepth:
        """Return how much waits where."""
        ...

    async def jobs(self, state: State, *, limit: int = 100, offset: int = 0) -> Sequence[JobRecord]:
        """List jobs in one state, next to be handed out first; dead letters oldest first.

        Shows one moment each call: jobs move on between two pages.
        """
        ...

    async def job(self, key: str) -> JobRecord | None:
        """Find one job by its key, in whatever state; None when the queue does not have it."""
        ...

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

    async def cancel(self, keys: Sequence[str]) -> int:
        """Take jobs off the queue, waiting or running; return how many there were.

        A running job is cancelled by its worker at its next renewal, a third of a lease later at
        most, and its settlement is refused.
        """
        ...

    async def pause(self, job_type: str | None = None) -> None:
        """Hand out nothing any more, or no job of this type; what runs goes on.

        Lasts until `resume`, also over restarts. Publishing goes on.
        """
        ...

    async def resume(self, job_type: str | None = None) -> None:
        """Undo the pause of the queue, or that of a job type."""
        ...

    async def paused(self) -> tuple[bool, Sequence[str]]:
        """Return whether the queue is paused, and which job types are."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...
