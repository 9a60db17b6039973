"""What an exception means for a job: one pure function."""

from __future__ import annotations

import random
from collections.abc import Callable

import msgspec

from shared.errors import ConfigError, PermanentError
from shared.verdicts import DeadLetter, Retry, Verdict

MAX_DOUBLINGS = 60
"""Beyond this the delay has long reached any ceiling, and a float would overflow."""
MAX_REASON_CHARACTERS = 2_000


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
    reason = _reason(error)
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
    doublings = min(attempt - 1, MAX_DOUBLINGS)
    ceiling = min(policy.max_delay_seconds, policy.first_delay_seconds * 2.0**doublings)
    return Retry(reason, after=uniform(0.0, ceiling))


def said_by(error: BaseException) -> str:
    """Return the message of an exception, whatever its `__str__` does."""
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - an exception's own __str__ may raise anything
        return "(cannot be shown)"


def storable(text: str) -> str:
    """Cut a text to a size that every broker takes, and escape what UTF-8 has no bytes for."""
    return text[:MAX_REASON_CHARACTERS].encode("utf-8", "backslashreplace").decode()


def _reason(error: BaseException) -> str:
    return storable(f"{type(error).__name__}: {said_by(error)}")
