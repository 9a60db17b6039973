"""How long a host is left alone after an answer, beyond its delay."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from crawler.fetcher.port import FetchAnswer, FetchFault

OVERLOADED = frozenset({429, 503})
FIRST_REST_SECONDS = 30.0
LONGEST_REST_SECONDS = 3600.0
LONGEST_RETRY_AFTER_SECONDS = 86_400.0
UNREACHABLE_REST_SECONDS = 10.0
SLOW_SECONDS = 2.0
LONGEST_SLOW_REST_SECONDS = 60.0

_UNREACHABLE = frozenset(
    {FetchFault.CONNECT, FetchFault.DNS, FetchFault.TLS, FetchFault.TIMEOUT, FetchFault.TOO_SLOW}
)


def rest_seconds(
    answer: FetchAnswer,
    failures: int,
    wall: float,
    uniform: Callable[[float, float], float] = random.uniform,
) -> float:
    """Return the rest: what Retry-After says, else doubling with the page's `failures` in a row.

    Jitter keeps hosts that failed together from being asked again together. A slow answer earns
    a rest as long as itself, so that at most half of a weary server's time is ours.
    """
    if answer.status in OVERLOADED:
        asked = retry_after(answer.headers.get("retry-after", ""), wall)
        rest = asked if asked is not None else _doubled(FIRST_REST_SECONDS, failures)
        return rest * uniform(1.0, 1.1)
    if answer.fault in _UNREACHABLE:
        return _doubled(UNREACHABLE_REST_SECONDS, failures) * uniform(1.0, 1.1)
    if answer.elapsed_seconds > SLOW_SECONDS:
        return min(answer.elapsed_seconds, LONGEST_SLOW_REST_SECONDS)
    return 0.0


def retry_after(header: str, wall: float) -> float | None:
    """Return the seconds that a Retry-After header asks for; None when it says nothing usable."""
    header = header.strip()
    if header.isascii() and header.isdigit():
        return min(float(header[:9]), LONGEST_RETRY_AFTER_SECONDS)
    try:
        at = parsedate_to_datetime(header)
    except ValueError:
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    seconds = (at - datetime.fromtimestamp(wall, UTC)).total_seconds()
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER_SECONDS)


def _doubled(first: float, failures: int) -> float:
    return float(min(first * 2.0 ** min(failures, 20), LONGEST_REST_SECONDS))
