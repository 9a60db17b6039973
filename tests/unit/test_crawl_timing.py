"""When pages are visited again, and how long hosts are left alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.fetcher.port import FetchAnswer, FetchFault
from crawler.processors.host_rest import rest_seconds, retry_after
from crawler.processors.revisit import next_interval
from shared.contracts.domain_pack import Recrawl

RECRAWL = Recrawl(
    first_interval_seconds=100.0, min_interval_seconds=60.0, max_interval_seconds=1_000.0
)
NOW = 1_700_000_000.0


def low(a: float, _: float) -> float:
    return a


def answer(status: int = 200, seconds: float = 0.1, **more: object) -> FetchAnswer:
    return FetchAnswer(url="x", status=status, arrived_by=0.0, elapsed_seconds=seconds, **more)  # type: ignore[arg-type]


def test_the_first_interval_is_the_packs() -> None:
    assert next_interval(0.0, RECRAWL, changed=True) == 100.0


def test_changes_halve_and_calm_lengthens_within_bounds() -> None:
    assert next_interval(200.0, RECRAWL, changed=True) == 100.0
    assert next_interval(200.0, RECRAWL, changed=False) == 300.0
    assert next_interval(100.0, RECRAWL, changed=True) == 60.0
    assert next_interval(900.0, RECRAWL, changed=False) == 1_000.0


@given(st.floats(0, 1e9), st.lists(st.booleans(), max_size=50))
def test_intervals_never_leave_the_bounds(start: float, changes: list[bool]) -> None:
    interval = start
    for changed in changes:
        interval = next_interval(interval, RECRAWL, changed=changed)
        assert 60.0 <= interval <= 1_000.0


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120.0),
        (" 0 ", 0.0),
        ("99999999999999", 86_400.0),
        ("Tue, 14 Nov 2023 22:15:00 GMT", 100.0),
        ("Tue, 14 Nov 2023 22:15:00", 100.0),
        ("Mon, 13 Nov 2023 22:15:00 GMT", 0.0),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("٣", None),
    ],
)
def test_retry_after(header: str, seconds: float | None) -> None:
    assert retry_after(header, NOW) == seconds


def test_retry_after_is_kept_with_jitter() -> None:
    told = answer(429, headers={"retry-after": "60"})
    assert rest_seconds(told, 0, NOW, low) == 60.0
    assert 60.0 <= rest_seconds(told, 0, NOW) <= 66.0


@pytest.mark.parametrize("status", [429, 503])
def test_without_retry_after_rests_double(status: int) -> None:
    rests = [rest_seconds(answer(status), failures, NOW, low) for failures in (0, 1, 2, 50)]
    assert rests == [30.0, 60.0, 120.0, 3_600.0]


def test_an_unreachable_host_rests() -> None:
    assert rest_seconds(answer(0, fault=FetchFault.CONNECT), 1, NOW, low) == 20.0
    assert rest_seconds(answer(0, fault=FetchFault.TOO_LARGE), 1, NOW, low) == 0.0


def test_a_slow_host_rests_as_long_as_it_took() -> None:
    assert rest_seconds(answer(seconds=5.0), 0, NOW) == 5.0
    assert rest_seconds(answer(seconds=500.0), 0, NOW) == 60.0
    assert rest_seconds(answer(seconds=1.0), 0, NOW) == 0.0
    assert rest_seconds(answer(404), 3, NOW) == 0.0
