"""When periodic jobs are due: intervals, cron expressions, clock changes, missed firings."""

from __future__ import annotations

from datetime import datetime
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from shared.errors import ConfigError
from shared.jobs import Job
from shared.queue.schedules import Missed, Schedule
from shared.schedules.checks import check_schedules
from shared.schedules.due_times import due_between, firings, latest_due, next_due

BERLIN = "Europe/Berlin"


def schedule(**options: Any) -> Schedule:
    return Schedule(**{"name": "s", "job": Job(type="t"), **options})


def at(text: str, zone: str = BERLIN) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


def local(times: list[float], zone: str = BERLIN) -> list[str]:
    return [datetime.fromtimestamp(each, ZoneInfo(zone)).isoformat(" ")[5:16] for each in times]


def test_an_interval_fires_at_multiples_since_the_epoch() -> None:
    every = schedule(every_seconds=60.0)
    assert next_due(every, 0.0) == 60.0
    assert next_due(every, 59.9) == 60.0
    assert next_due(every, 60.0) == 120.0
    assert list(due_between(every, 100.0, 240.0)) == [120.0, 180.0, 240.0]


@given(every=st.floats(0.1, 1e6), start=st.floats(1.6e9, 1.9e9), other=st.floats(0.0, 1e4))
def test_all_processes_agree_on_the_due_times_of_an_interval(
    every: float, start: float, other: float
) -> None:
    first, second = schedule(every_seconds=every), schedule(every_seconds=every)
    late = start + other
    assume(other < 1000 * every)
    until = late + 5 * every
    seen_by_first = [due for due in due_between(first, start, until) if due > late]
    assert seen_by_first == list(due_between(second, late, until))
    assert latest_due(first, start, until) == latest_due(second, late, until) == seen_by_first[-1]


@given(every=st.floats(0.1, 1e6), after=st.floats(0.0, 2e9))
def test_the_next_due_time_is_later_and_no_interval_away(every: float, after: float) -> None:
    due = next_due(schedule(every_seconds=every), after)
    assert after < due <= after + every * (1 + 1e-6) + 1e-6


def test_cron_is_read_in_its_time_zone() -> None:
    cron = schedule(cron="30 8 * * MON-FRI", timezone=BERLIN)
    friday = at("2026-01-02 09:00")
    assert local([next_due(cron, friday)]) == ["01-05 08:30"]
    assert next_due(schedule(cron="30 8 * * *"), friday) == at("2026-01-02 08:30", "UTC")


def test_six_fields_begin_with_seconds() -> None:
    cron = schedule(cron="*/20 * * * * *")
    assert list(islice(due_between(cron, 0.0, 100.0), 4)) == [20.0, 40.0, 60.0, 80.0]


def test_an_hour_that_is_left_out_does_not_lose_the_firing() -> None:
    cron = schedule(cron="30 2 * * *", timezone=BERLIN)
    times = list(due_between(cron, at("2026-03-28 00:00"), at("2026-03-30 23:00")))
    assert local(times) == ["03-28 02:30", "03-29 03:00", "03-30 02:30"]


def test_an_hour_that_comes_twice_fires_once() -> None:
    cron = schedule(cron="30 2 * * *", timezone=BERLIN)
    times = list(due_between(cron, at("2026-10-24 00:00"), at("2026-10-26 23:00")))
    assert local(times) == ["10-24 02:30", "10-25 02:30", "10-26 02:30"]
    second_time = at("2026-10-25 02:10") + 3600.0
    assert local([next_due(cron, second_time)]) == ["10-26 02:30"]


def test_each_minute_goes_on_through_the_hour_that_comes_twice() -> None:
    cron = schedule(cron="* * * * *", timezone=BERLIN)
    start = at("2026-10-25 01:59")
    times = list(due_between(cron, start, start + 3 * 3600))
    assert times == [start + 60.0 * n for n in range(1, 181)]


@pytest.mark.parametrize("day", ["2026-03-28", "2026-10-24"])
def test_no_due_time_lies_behind_the_one_before(day: str) -> None:
    cron = schedule(cron="15,45 1,2,3 * * *", timezone=BERLIN)
    after, until = at(f"{day} 12:00"), at(f"{day} 12:00") + 86400.0
    while (due := next_due(cron, after)) <= until:
        assert due > after
        after = due


def test_the_29th_of_february_comes_every_four_years() -> None:
    cron = schedule(cron="0 0 29 2 *")
    times = [next_due(cron, at("2026-01-01 00:00", "UTC"))]
    times.append(next_due(cron, times[0]))
    assert times == [at("2028-02-29 00:00", "UTC"), at("2032-02-29 00:00", "UTC")]


@pytest.mark.parametrize(
    ("missed", "now", "expected"),
    [
        ("all", 185.0, [60.0, 120.0, 180.0]),
        ("latest", 185.0, [180.0]),
        ("skip", 185.0, [180.0]),
        ("skip", 200.0, []),
        ("latest", 200.0, [180.0]),
        ("all", 59.0, []),
        ("latest", 59.0, []),
        ("skip", 59.0, []),
    ],
)
def test_missed_firings_follow_the_policy(
    missed: Missed, now: float, expected: list[float]
) -> None:
    for each in ({"every_seconds": 60.0}, {"cron": "* * * * *"}):
        assert list(firings(schedule(missed=missed, **each), 0.0, now)) == expected


def test_the_latest_of_years_is_found() -> None:
    start, now = at("2020-01-01 00:00", "UTC"), at("2026-06-01 12:00", "UTC")
    assert latest_due(schedule(cron="0 0 1 1 *"), start, now) == at("2026-01-01 00:00", "UTC")
    assert latest_due(schedule(cron="* * * * * *"), start, now) == now
    assert latest_due(schedule(cron="0 0 29 2 *"), at("2025-01-01 00:00", "UTC"), now) is None


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"name": ""}, "schedule 1: name ''"),
        ({"name": "a\nb"}, "must be printable"),
        ({}, "'s': set either cron or every_seconds"),
        ({"cron": "* * * * *", "every_seconds": 1.0}, "set either"),
        ({"cron": "61 * * * *"}, "'s': cron '61 .*Bad minute; five fields"),
        ({"cron": "* * *"}, "Wrong number of fields"),
        ({"cron": "0 0 31 2,4 *"}, "Bad day-of-month"),
        ({"cron": "* * * * *", "timezone": "Mars/Base"}, "timezone 'Mars/Base' is unknown"),
        ({"cron": "* * * * *", "timezone": "../etc"}, "unknown"),
        ({"cron": "* * * * *", "timezone": ""}, "unknown"),
        ({"every_seconds": -1.0}, "every_seconds -1.0 must be 0.1 or more"),
        ({"every_seconds": 0.01}, "0.1 or more"),
        ({"every_seconds": float("nan")}, "0.1 or more"),
        ({"every_seconds": 1.0, "missed": "never"}, "skip, latest or all"),
    ],
)
def test_what_cannot_be_kept_is_named(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        check_schedules([schedule(**options)])


def test_a_name_is_used_once() -> None:
    with pytest.raises(ConfigError, match="'s': the name is used twice"):
        check_schedules([schedule(every_seconds=1.0), schedule(cron="* * * * *")])
