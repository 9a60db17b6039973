"""Keeps what no work source could store out of its calls: one bad verdict would fail them all."""

from __future__ import annotations

from typing import get_args

from shared.pool.retry_policy import storable
from shared.verdicts import DeadLetter, Discard, Done, HandBack, Retry, Snooze, Verdict

LONGEST_DELAY_SECONDS = 100 * 365 * 86_400.0
"""Every broker can add so much to the present."""
KNOWN = frozenset(get_args(Verdict))


def checked(verdict: object) -> Verdict:
    """Return the verdict with its text storable and its delay 0 or more.

    Raises TypeError for what is no verdict: of another type, or with fields that make no sense.
    """
    name = type(verdict).__name__
    if type(verdict) not in KNOWN:
        raise TypeError(f"a processor returned {name}, not a verdict")
    match verdict:
        case Retry(error=error, after=after):
            said = _text(error, f"{name} with an error")
            return Retry(said, None if after is None else _delay(after, name))
        case Snooze(after=after):
            return Snooze(_delay(after, name))
        case DeadLetter(reason=reason):
            return DeadLetter(_text(reason, f"{name} with a reason"))
        case Discard(reason=reason):
            return Discard(_text(reason, f"{name} with a reason"))
        case Done() | HandBack():
            return verdict
    raise AssertionError(name)


def _text(said: object, what: str) -> str:
    if not isinstance(said, str):
        raise TypeError(f"a processor returned {what} that is no text")
    return storable(said)


def _delay(seconds: object, name: str) -> float:
    if isinstance(seconds, int | float) and abs(seconds) <= LONGEST_DELAY_SECONDS:  # NaN is not
        return max(0.0, float(seconds))
    raise TypeError(f"a processor returned {name} with a delay that is none")
