"""The retry policy is a pure function with bounds."""

from __future__ import annotations

import statistics

from hypothesis import given
from hypothesis import strategies as st

from shared.errors import PermanentError
from shared.pool.retry_policy import MAX_REASON_CHARACTERS, RetryPolicy, retry_or_bury, verdict_for
from shared.verdicts import DeadLetter, Retry

policies = st.builds(
    RetryPolicy,
    max_attempts=st.integers(1, 10**9),
    first_delay_seconds=st.floats(0.001, 100),
    max_delay_seconds=st.floats(0.001, 86_400),
)


@given(policies, st.integers(1, 10**9))
def test_delays_stay_within_the_doubling_ceiling(policy: RetryPolicy, attempt: int) -> None:
    verdict = retry_or_bury("broke", attempt, policy)
    if attempt >= policy.max_attempts:
        assert isinstance(verdict, DeadLetter)
        return
    assert isinstance(verdict, Retry)
    assert verdict.after is not None
    assert 0 <= verdict.after <= policy.max_delay_seconds
    if attempt <= 50:
        assert verdict.after <= policy.first_delay_seconds * 2 ** (attempt - 1)


@given(st.integers(1, 40))
def test_the_whole_range_from_zero_is_asked_for(attempt: int) -> None:
    asked: list[tuple[float, float]] = []

    def uniform(low: float, high: float) -> float:
        asked.append((low, high))
        return high

    policy = RetryPolicy(max_attempts=100, first_delay_seconds=1.0, max_delay_seconds=3600.0)
    verdict = retry_or_bury("broke", attempt, policy, uniform)
    assert asked == [(0.0, min(3600.0, 2.0 ** (attempt - 1)))]
    assert verdict == Retry("broke", after=asked[0][1])


def test_jitter_spreads_over_the_range() -> None:
    policy = RetryPolicy(first_delay_seconds=100.0)
    delays = [retry_or_bury("broke", 1, policy).after for _ in range(500)]  # type: ignore[union-attr]
    assert 40 < statistics.mean(delays) < 60
    assert min(delays) < 10
    assert max(delays) > 90


@given(st.text())
def test_reasons_can_always_be_stored(text: str) -> None:
    verdict = verdict_for(ValueError(text), 1, RetryPolicy())
    assert isinstance(verdict, Retry)
    assert verdict.error.startswith("ValueError: ")
    verdict.error.encode("utf-8")


def test_reasons_are_bounded() -> None:
    verdict = verdict_for(ValueError("x" * 1_000_000), 1, RetryPolicy())
    assert isinstance(verdict, Retry)
    assert len(verdict.error) == MAX_REASON_CHARACTERS


@given(st.integers(1, 10))
def test_a_permanent_error_is_buried_at_any_attempt(attempt: int) -> None:
    verdict = verdict_for(PermanentError("no"), attempt, RetryPolicy(max_attempts=5))
    assert verdict == DeadLetter("PermanentError: no")


@given(st.integers(1, 10))
def test_every_attempt_but_the_last_retries(attempt: int) -> None:
    verdict = verdict_for(OSError("away"), attempt, RetryPolicy(max_attempts=5))
    assert isinstance(verdict, Retry if attempt < 5 else DeadLetter)
