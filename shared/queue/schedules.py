"""Jobs that are published again and again: when each is due, and who fires it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec

from shared.jobs import Job

Missed = Literal["skip", "latest", "all"]


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """A periodic job. Exactly one of `cron` and `every_seconds` is set."""

    name: str
    """Unique in its queue; the fleet counts the firings of a name once."""
    job: Job
    """Published at every firing, under a key made of the name and the due time."""
    cron: str = ""
    """Five fields, or six with seconds first, as cronsim reads them."""
    every_seconds: float = 0.0
    """Fires at whole multiples of this since the epoch, so that all processes agree."""
    timezone: str = "UTC"
    """IANA name in which `cron` is read."""
    missed: Missed = "latest"
    """When nobody ran at the due time: forget it, fire the latest once, or fire each."""


def describe(schedule: Schedule) -> str:
    """Say for people when a schedule fires; another text is another definition."""
    if schedule.cron:
        return f"{schedule.cron} ({schedule.timezone})"
    return f"every {schedule.every_seconds:g} s"


class ScheduleState(msgspec.Struct, frozen=True, kw_only=True):
    """What the queue knows of one schedule."""

    name: str
    description: str
    """The cron expression or the interval, for people."""
    job_type: str
    last_due: float | None
    """Due time of the last firing, seconds since the epoch; None before the first."""
    next_due: float | None
    """As its schedulers announced it."""


class ScheduleStore(Protocol):
    """Keeps what was fired, in the queue's own broker."""

    async def announce(self, schedule: Schedule, next_due: float) -> float | None:
        """Note that a schedule exists and when it is due next; return its last firing's due time.

        The first announcement of a name, or of another definition under it, counts as a firing at
        that moment: nothing is due before.
        """
        ...

    async def fire(self, name: str, due: float, job: Job) -> bool:
        """Publish the job and note the firing, in one step, unless `due` was fired already.

        Of many that fire the same due time, one gets True.
        """
        ...

    async def schedules(self) -> Sequence[ScheduleState]:
        """List what was announced, by name."""
        ...

    async def forget(self, name: str) -> bool:
        """Drop a schedule that nobody announces any more; False when there is none."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...
