"""One job of the queue in memory."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from shared.jobs import Job, Priority

SUSPECT_CRASHES = 2
"""A job whose lease expired so often runs alone among its like in a process."""


class Entry(msgspec.Struct):
    """A job or a raw message, and where it stands."""

    key: str
    job: Job | None
    """None for a message of the inbox, which the consumer reads."""
    raw: bytes
    first_seen: float
    ready_at: float
    epoch: int = 0
    attempts: int = 0
    crashes: int = 0
    token: str = ""
    """Of the hand-out that holds it now; empty while it waits or is dead."""
    lease_until: float = 0.0
    reason: str = ""
    died_at: float = 0.0
    lane: str = ""
    """In which it runs, if it has limits."""

    def handed_out(self, job: Job) -> Job:
        """Return its job as workers and people see it; `job` is what was published or decoded."""
        return replace(
            job,
            key=self.key,
            delay_seconds=0.0,
            dedup_window_seconds=0.0,
            replace=False,
            keep_result_seconds=job.keep_result_seconds if self.job else 0.0,
        )

    @property
    def suspect(self) -> bool:
        """Whether it runs alone among its like in a process."""
        return self.crashes >= SUSPECT_CRASHES

    @property
    def priority(self) -> Priority:
        """The ready list it belongs to."""
        return self.job.priority if self.job else Priority.NORMAL

    @property
    def dedup_key(self) -> str:
        """Empty when it has none."""
        return self.job.dedup_key if self.job else ""
