"""What a verdict other than Done means for a URL's row."""

from __future__ import annotations

import msgspec

from crawler.frontier.port import PageState
from crawler.reasons import Reason
from shared.verdicts import DeadLetter, Discard, Done, HandBack, Retry, Snooze, Verdict

DEAD_LETTER_REST_SECONDS = 86_400.0
"""A frontier visits again by its nature; what cannot be processed is tried once a day."""
DEFAULT_RETRY_SECONDS = 60.0


class RowVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """Changes of a claimed row. None keeps what is there."""

    url_key: str
    epoch: int
    seconds: float | None
    """Until it is due again; None for never by itself."""
    attempt: int = 0
    """Attempts spent by it."""
    state: str | None = None
    reason: str | None = None
    detail: str | None = None


def row_verdict(url_key: str, epoch: int, verdict: Verdict) -> RowVerdict | None:
    """Return what to write; None for Done (written by the commit) and HandBack (stays claimed)."""
    match verdict:
        case Done() | HandBack():
            return None
        case Snooze(after):
            return RowVerdict(url_key=url_key, epoch=epoch, seconds=after)
        case Discard(reason):
            return RowVerdict(
                url_key=url_key,
                epoch=epoch,
                seconds=None,
                state=PageState.REFUSED.value,
                reason=Reason.DISCARDED.value,
                detail=reason,
            )
        case Retry(error, after):
            seconds = DEFAULT_RETRY_SECONDS if after is None else after
            return _failed(url_key, epoch, seconds, error)
        case DeadLetter(reason):
            return _failed(url_key, epoch, DEAD_LETTER_REST_SECONDS, reason)


def _failed(url_key: str, epoch: int, seconds: float, detail: str) -> RowVerdict:
    return RowVerdict(
        url_key=url_key,
        epoch=epoch,
        seconds=seconds,
        attempt=1,
        state=PageState.FAILING.value,
        reason=Reason.PROCESSOR_ERROR.value,
        detail=detail,
    )
