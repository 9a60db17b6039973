"""When periodic jobs are due. Pure: times are seconds since the epoch."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

from cronsim import CronSim

from shared.queue.schedules import Schedule

ON_TIME_SECONDS = 10.0
"""With `missed="skip"`, a due time that passed so recently is not missed yet."""


def next_due(schedule: Schedule, after: float) -> float:
    """Return the first due time after `after`."""
    return next(_due_times(schedule, after))


def due_between(schedule: Schedule, after: float, until: float) -> Iterator[float]:
    """Return the due times after `after` up to `until`, in order."""
    for due in _due_times(schedule, after):
        if due > until:
            return
        yield due


def latest_due(schedule: Schedule, after: float, until: float) -> float | None:
    """Return the last due time after `after` up to `until`; looks no further back than it must."""
    span = schedule.every_seconds or 60.0
    while True:
        start = max(after, until - span)
        if found := list(due_between(schedule, start, until)):
            return found[-1]
        if start <= after:
            return None
        span *= 2


def firings(schedule: Schedule, after: float, now: float) -> Iterator[float]:
    """Return the due times to fire at `now` when the last one that was fired is `after`."""
    if schedule.missed == "all":
        yield from due_between(schedule, after, now)
        return
    latest = latest_due(schedule, after, now)
    if latest is None or (schedule.missed == "skip" and now - latest > ON_TIME_SECONDS):
        return
    yield latest


def _due_times(schedule: Schedule, after: float) -> Iterator[float]:
    if schedule.cron:
        return _cron_times(schedule, after)
    return _interval_times(schedule.every_seconds, after)


def _cron_times(schedule: Schedule, after: float) -> Iterator[float]:
    start = datetime.fromtimestamp(after, ZoneInfo(schedule.timezone))
    for moment in CronSim(schedule.cron, start):
        due = moment.timestamp()
        if due > after:  # an hour that comes twice is gone through once, and may lie behind
            yield due


def _interval_times(every: float, after: float) -> Iterator[float]:
    # A whole number times the interval is the same float in every process.
    number = math.floor(after / every)
    while True:
        if (due := number * every) > after:
            yield due
        number += 1
