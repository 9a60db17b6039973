"""When a page is visited again."""

from __future__ import annotations

from shared.contracts.domain_pack import Recrawl

UNCHANGED_FACTOR = 1.5
CHANGED_FACTOR = 0.5
FIRST_BACKOFF_SECONDS = 60.0
MAX_BACKOFF_SECONDS = 86_400.0


def next_interval(previous: float, recrawl: Recrawl, *, changed: bool) -> float:
    """Return seconds until the next visit: sooner for pages that change, within the bounds.

    `previous` is 0 before the first visit.
    """
    if previous <= 0:
        interval = recrawl.first_interval_seconds
    else:
        interval = previous * (CHANGED_FACTOR if changed else UNCHANGED_FACTOR)
    return min(max(interval, recrawl.min_interval_seconds), recrawl.max_interval_seconds)


def backoff(failures: int) -> float:
    """Return seconds until the next try after so many failures in a row: 1 minute to 1 day."""
    return float(min(FIRST_BACKOFF_SECONDS * 2.0 ** min(failures - 1, 20), MAX_BACKOFF_SECONDS))
