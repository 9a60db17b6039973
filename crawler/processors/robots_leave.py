"""What robots.txt says about a request, before it is sent."""

from __future__ import annotations

import msgspec

from crawler.fetcher.robots import rules_of
from crawler.frontier.port import Frontier, PageState, RobotsRecord, Target
from crawler.reasons import Reason
from shared.verdicts import Snooze

EXPIRED_WAIT_SECONDS = 1.0


class NoLeave(msgspec.Struct, frozen=True):
    """The request must not be sent. What is known of its page stays."""

    state: PageState
    reason: Reason
    detail: str
    seconds: float | None = None
    """Until robots.txt is asked for again; None when it was read, and forbids the URL."""


async def robots_leave(
    frontier: Frontier, target: Target, user_agent: str
) -> NoLeave | Snooze | None:
    """Return None when robots.txt lets a request through; Snooze when it must be read again."""
    record = await frontier.robots(target.origin)
    if record is None:
        # It expired on the way; the frontier fetches it first when this comes back.
        return Snooze(EXPIRED_WAIT_SECONDS)
    return no_leave(record, target.url, user_agent)


def no_leave(record: RobotsRecord, url: str, user_agent: str) -> NoLeave | None:
    """Return why a fresh record keeps a URL of its origin from being asked for, if it does."""
    if record.verdict == "disallow_all":
        seconds = record.expires_in_seconds
        if record.reason == Reason.ADDRESS_REFUSED.value:
            return NoLeave(PageState.REFUSED, Reason.ADDRESS_REFUSED, record.detail, seconds)
        said = f"{record.reason} {record.detail}".strip()
        return NoLeave(PageState.FAILING, Reason.ROBOTS_UNREACHABLE, said, seconds)
    rules = rules_of(record, user_agent)
    if rules.allows(url).allowed:
        return None
    return NoLeave(PageState.REFUSED, Reason.ROBOTS_DENIED, rules.allows(url, explain=True).line)
