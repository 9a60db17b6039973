"""What an exception means for a job: one pure function."""

from __future__ import annotations

import random
from collections.abc import Callable

import msgspec

from shared.errors import ConfigError, PermanentError
from shared.verdicts import DeadLetter, Retry, Verdict


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How often and how soon a job type is tried again. Delays in seconds."""

    max_attempts: int = 5
    first_delay_seconds: float = 1.0
    max_delay_seconds: float = 3600.0
    permanent: tuple[type[BaseException], ...] = (
        PermanentError,
        ConfigError,
        msgspec.ValidationError,
    )
    """Errors that trying again cannot mend."""


def verdict_for(
    error: BaseException,
    attempt: int,
    policy: RetryPolicy,
    uniform: Callable[[float, float], float] = random.uniform,
) -> Verdict:
    """Decide what an exception raised on this attempt means.

    Permanent errors and the last attempt dead-letter. All others retry after a uniformly random
    part of an exponentially growing delay ("full jitter": Marc Brooker, "Exponential Backoff And
    Jitter", AWS Architecture Blog, 2015).
    """
    reason = f"{type(error).__name__}: {error}"
    if isinstance(error, policy.permanent):
        return DeadLetter(reason)
    return retry_or_bury(reason, attempt, policy, uniform)


def retry_or_bury(
    reason: str,
    attempt: int,
    policy: RetryPolicy,
    uniform: Callable[[float, float], float] = random.uniform,
) -> Verdict:
    """Retry with backoff while attempts are left, else dead-letter."""
    if attempt >= policy.max_attempts:
        return DeadLetter(f"{reason} (attempt {attempt} of {policy.max_attempts})")
    ceiling = min(policy.max_delay_seconds, policy.first_delay_seconds * 2.0 ** (attempt - 1))
    return Retry(reason, after=uniform(0.0, ceiling))
