"""robots.txt (RFC 9309)."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from crawler.fetcher.port import FetchAnswer
from crawler.frontier.port import RobotsRecord

MAX_ROBOTS_BYTES = 512 * 1024
MAX_REDIRECTS = 5


class RobotsDecision(msgspec.Struct, frozen=True):
    """The answer, with the line that decided."""

    allowed: bool
    line: str = ""


class RobotsRules:
    """The rules that apply to one user agent."""

    crawl_delay: float | None
    sitemaps: Sequence[str]

    def allows(self, url: str) -> RobotsDecision:
        """Decide about a URL of this origin (path and query count)."""
        raise NotImplementedError


def parse_robots(text: str, user_agent: str) -> RobotsRules:
    """Parse the rules for the product token of a User-Agent. Never raises."""
    raise NotImplementedError


def robots_record(answer: FetchAnswer, origin: str, hops: int = 0) -> RobotsRecord | str:
    """Say what an answer for robots.txt means; a str is the URL of a redirect to follow."""
    raise NotImplementedError


def rules_of(record: RobotsRecord, user_agent: str) -> RobotsRules:
    """Return the rules of a record, whatever its verdict (cached by text)."""
    raise NotImplementedError
