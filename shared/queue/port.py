"""The job queue port: what every broker adapter must do, and what it may say it cannot."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from shared.errors import ConfigError
from shared.jobs import Delivery, Job, Priority
from shared.work_source import WorkSource


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What an adapter can do beyond the core promises: all of it but what it says it lacks."""

    idempotent_publish: bool = True
    """A job whose key is stored is not stored again, so that a publish may be repeated."""
    fence: bool = True
    """A settlement that comes after its lease was lost is refused, and said to be."""
    crash_count: bool = True
    """Expired leases are counted, so that a poison job ends at `max_crashes`, and exactly there."""
    free_snooze: bool = True
    """A snooze or a hand-back spends no attempt, however often."""
    priority: bool = True
    """Job.priority decides who is claimed first."""
    deduplication: bool = True
    """Job.dedup_key holds while a job waits, until its claim."""
    dedup_window: bool = True
    """Job.dedup_window_seconds."""
    replace: bool = True
    """Job.replace."""
    lanes: bool = True
    """Job.lane with QueueSettings.lane_limits."""
    lease_per_message: bool = True
    """The lease of one delivery can be renewed apart from the others'."""
    out_of_order_settlement: bool = True
    """What is settled is forgotten at once, whatever was claimed before it and still runs."""
    cancel: bool = True
    """QueueAdmin.cancel."""
    pause: bool = True
    """QueueAdmin.pause for the whole queue."""
    pause_type: bool = True
    """QueueAdmin.pause for one job type."""
    listing: bool = True
    """QueueAdmin.jobs and .job show what waits and runs, without touching it."""
    results: bool = True
    """Job.keep_result_seconds and JobResults."""
    schedules: bool = True
    """A ScheduleStore: one firing in a fleet."""
    oldest_ready_age: bool = True
    """QueueDepth.oldest_ready_age_seconds."""
    why: Mapping[str, str] = {}
    """For each capability that is lacking: what in the broker (or in its documentation, with the
    place) makes it so."""


class LaneLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What the jobs of one lane may do together, across all workers."""

    max_running: int = 0
    """How many may run at once; 0 sets no limit."""
    per_second: float = 0.0
    """How many may start a second, evenly spaced after `burst`; 0 sets no limit."""
    burst: int = 1
    """How many may start at once after a rest."""

    def __post_init__(self) -> None:
        """Raise ConfigError for limits that mean nothing."""
        if self.max_running < 0 or self.per_second < 0 or self.burst < 1:
            raise ConfigError(
                f"lane_limits: {self} is not allowed: max_running and per_second must be 0 "
                "(no limit) or more, burst 1 or more"
            )


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
    lane_limits: Mapping[str, LaneLimits] = {}
    """Limits by lane; `*` stands for every lane that is not named. A lane without limits is like
    no lane. In a lane with limits, jobs are handed out in the order in which they became ready,
    whatever their priorities. Those of the worker that started last hold for all."""
    shards: int = 1
    """Over how many independent parts the queue is spread; all its users must agree."""


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
        when a worker of another kind consumes this queue, ConfigError when the settings ask for
        what this broker cannot do. Producers need not call it.
        """
        ...

    async def publish(self, jobs: Sequence[Job]) -> Published:
        """Store jobs; when this returns they survive what the durability setting says.

        Raises ConfigError for a job that asks for what this broker cannot do.
        """
        ...

    async def depth(self) -> QueueDepth:
        """Return how much waits where."""
        ...

    async def incarnation(self) -> str:
        """Name this life of the queue's data; another name means that jobs may have been lost."""
        ...


class JobOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of one job for whoever published it."""

    state: str
    """`running` (progress was reported), `done`, `discarded` or `dead`."""
    progress: Any = None
    """What the processor reported last."""
    result: Any = None
    """The result of `Done`."""
    error: str = ""
    """The reason of a discarded or dead-lettered job."""


class JobResults(Protocol):
    """Progress and results of jobs published with `keep_result_seconds`; off the hot path."""

    async def report(self, delivery: Delivery, progress: Any) -> None:
        """Show how far a running job is; any value that msgspec can encode as JSON.

        Does nothing for a job that keeps no result.
        """
        ...

    async def outcome(self, key: str) -> JobOutcome | None:
        """Return what is known of a job; None when nothing was kept, or no longer is."""
        ...

    async def wait(self, key: str, timeout: float) -> JobOutcome | None:
        """Return the outcome once it is final (`done`, `discarded`, `dead`).

        Returns what `outcome` would after `timeout` seconds.
        """
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


InboxDecoder = Callable[[bytes], Job]
"""Reads a message that a program in any language pushed; raises ValueError when it cannot.

The queue makes the key, whatever the decoder sets. Where and how long the message waits was decided
when it was pushed: a priority, delay, deduplication key or lane that the decoder sets is shown to
the processor and does nothing else, and no result is kept.
"""


def require(capabilities: Capabilities, *names: str) -> None:
    """Raise ConfigError when one of the named capabilities is lacking, with the reason."""
    for name in names:
        if not getattr(capabilities, name):
            reason = capabilities.why.get(name, "its adapter does not offer it")
            raise ConfigError(f"this broker has no {name.replace('_', ' ')}: {reason}")


def needs_of(settings: QueueSettings) -> tuple[str, ...]:
    """Name the capabilities that these settings ask for."""
    return ("lanes",) if settings.lane_limits else ()


def needs_of_job(job: Job) -> tuple[str, ...]:
    """Name the capabilities without which this job would be handled otherwise than it asks."""
    wants = {
        "priority": job.priority is not Priority.NORMAL,
        "deduplication": bool(job.dedup_key),
        "dedup_window": job.dedup_window_seconds > 0,
        "replace": job.replace,
        "lanes": bool(job.lane),
        "results": job.keep_result_seconds > 0,
    }
    return tuple(name for name, wanted in wants.items() if wanted)
