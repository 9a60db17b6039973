"""What is wrong with a list of schedules, before any of them fires."""

from __future__ import annotations

import math
from collections.abc import Sequence
from zoneinfo import ZoneInfo

from cronsim import CronSimError

from shared.errors import ConfigError
from shared.queue.schedules import Schedule
from shared.schedules.due_times import next_due

SHORTEST_SECONDS = 0.1
_SOME_TIME = 1_700_000_000.0


def check_schedules(schedules: Sequence[Schedule]) -> None:
    """Raise ConfigError for the first schedule that cannot be kept, with what is allowed."""
    names = set[str]()
    for number, schedule in enumerate(schedules, 1):
        if not schedule.name or not schedule.name.isprintable():
            raise ConfigError(f"schedule {number}: name {schedule.name!r} must be printable text")
        if schedule.name in names:
            raise ConfigError(f"schedule {schedule.name!r}: the name is used twice")
        names.add(schedule.name)
        _check_times(schedule)


def _check_times(schedule: Schedule) -> None:
    where, every = f"schedule {schedule.name!r}", schedule.every_seconds
    if bool(schedule.cron) == bool(every):
        raise ConfigError(f"{where}: set either cron or every_seconds")
    if schedule.missed not in ("skip", "latest", "all"):
        raise ConfigError(f"{where}: missed {schedule.missed!r} must be skip, latest or all")
    if schedule.cron:
        _check_cron(schedule, where)
    elif not (math.isfinite(every) and every >= SHORTEST_SECONDS):
        raise ConfigError(f"{where}: every_seconds {every} must be {SHORTEST_SECONDS} or more")


def _check_cron(schedule: Schedule, where: str) -> None:
    try:
        ZoneInfo(schedule.timezone)
    except (OSError, ValueError, KeyError) as error:  # KeyError: no such zone
        raise ConfigError(
            f"{where}: timezone {schedule.timezone!r} is unknown; IANA names such as "
            "Europe/Berlin are allowed"
        ) from error
    try:
        next_due(schedule, _SOME_TIME)
    except CronSimError as error:
        raise ConfigError(
            f"{where}: cron {schedule.cron!r}: {error}; five fields (minute, hour, day, month, "
            "day of the week) or six with seconds first are allowed"
        ) from error
    except StopIteration:
        raise ConfigError(f"{where}: cron {schedule.cron!r} names no day that exists") from None
