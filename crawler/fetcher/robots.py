"""robots.txt: what an answer for it means (RFC 9309), and what its rules allow."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

import msgspec
from protego import Protego

from crawler.fetcher.port import FetchAnswer, FetchRequest
from crawler.frontier.port import RobotsRecord

MAX_ROBOTS_BYTES = 512 * 1024
MAX_REDIRECTS = 5
MAX_EXPLAINED_RULES = 500
FRESH_SECONDS = 24 * 3600.0
"""RFC 9309, 2.4: robots.txt should not be used for longer."""
UNREACHABLE_SECONDS = 15 * 60.0
"""A site that cannot say what it allows is asked again this much later."""

_RULE_LINE = re.compile(r"\s*(?:allow|dis+al+[ao]w)\b", re.IGNORECASE)


class RobotsDecision(msgspec.Struct, frozen=True):
    """The answer, with the line that decided."""

    allowed: bool
    line: str = ""
    """As it is written in the file; only filled in when asked to explain a refusal."""


class RobotsRules:
    """The rules that apply to one product token."""

    def __init__(self, text: str, token: str) -> None:
        self._text = text
        self._token = token
        self._protego = Protego.parse(text)
        self.crawl_delay: float | None = self._protego.crawl_delay(token)
        """Seconds between requests that the site asks for."""
        self.sitemaps: Sequence[str] = tuple(self._protego.sitemaps)
        """As written; may be relative, or not URLs at all."""

    def allows(self, url: str, *, explain: bool = False) -> RobotsDecision:
        """Decide about a URL of this origin; path and query count.

        `explain` finds the line that refused. It tries rule after rule, so for a file of more
        than MAX_EXPLAINED_RULES the line stays empty.
        """
        allowed = self._protego.can_fetch(url, self._token)
        line = self._refusing_line(url) if explain and not allowed else ""
        return RobotsDecision(allowed, line)

    def _refusing_line(self, url: str) -> str:
        """Return the longest rule that still refuses when all other rules are blanked.

        Blanked, not taken out: a rule between two User-agent lines is what parts their groups.
        """
        lines = self._text.splitlines()
        rules = [number for number, line in enumerate(lines) if _RULE_LINE.match(line)]
        if len(rules) > MAX_EXPLAINED_RULES:
            return ""
        blanked = list(lines)
        for number in rules:
            blanked[number] = "Disallow:"
        for number in sorted(rules, key=lambda number: len(lines[number]), reverse=True):
            if not _refuses(f"User-agent: *\n{lines[number]}", url, "any"):
                continue
            alone = [*blanked[:number], lines[number], *blanked[number + 1 :]]
            if _refuses("\n".join(alone), url, self._token):
                return lines[number].strip()
        return ""


def parse_robots(text: str, user_agent: str) -> RobotsRules:
    """Parse the rules for the product token of a User-Agent: `Foo` of `Foo/1.0 (+https://...)`.

    Never raises; lines that make no sense are passed over, and everything after 512 KiB too.
    """
    cut = text.removeprefix("\ufeff").encode("utf-8", "replace")[:MAX_ROBOTS_BYTES]
    return RobotsRules(cut.decode("utf-8", "ignore"), product_token(user_agent))


def robots_request(url: str, timeout_seconds: float = 30.0) -> FetchRequest:
    """Ask for a robots.txt, or for where it was moved; a longer file is cut, not refused."""
    return FetchRequest(
        url=url, max_body_bytes=MAX_ROBOTS_BYTES, truncate=True, timeout_seconds=timeout_seconds
    )


def product_token(user_agent: str) -> str:
    """Return the name by which robots.txt files address us."""
    return user_agent.partition("/")[0].partition(" ")[0]


def robots_record(answer: FetchAnswer, origin: str, hops: int = 0) -> RobotsRecord | str:
    """Say what the answer for a robots.txt means; a str is the redirect to follow next.

    `hops` is how many redirects led to this answer; after five the file counts as missing.
    2xx: its rules. 4xx: all is allowed, except that 429 is a server in trouble. 5xx, a fault, a
    refused address: nothing is allowed for a short time.
    """
    if answer.redirect_to and hops < MAX_REDIRECTS:
        return answer.redirect_to
    reason = _unreachable(answer)
    if reason:
        return RobotsRecord(
            origin=origin,
            verdict="disallow_all",
            expires_in_seconds=UNREACHABLE_SECONDS,
            reason=reason,
            detail=answer.detail,
        )
    if 200 <= answer.status < 300:
        return _answered(origin, "rules", _text_of(answer.body))
    return _answered(origin, "allow_all")


def rules_of(record: RobotsRecord, user_agent: str) -> RobotsRules:
    """Return the rules that a record stands for, whatever its verdict."""
    text = {"rules": record.text, "allow_all": "", "disallow_all": "User-agent: *\nDisallow: /"}
    return _cached_rules(text[record.verdict], user_agent)


@lru_cache(maxsize=1024)
def _cached_rules(text: str, user_agent: str) -> RobotsRules:
    return parse_robots(text, user_agent)


def _refuses(text: str, url: str, token: str) -> bool:
    return not Protego.parse(text).can_fetch(url, token)


def _text_of(body: bytes) -> str:
    """Decode as UTF-8, which the standard demands; a NUL would not get into the database."""
    text = body[:MAX_ROBOTS_BYTES].removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace")
    return text.replace("\0", "")


def _unreachable(answer: FetchAnswer) -> str:
    """Return the reason code of an answer that leaves open what is allowed."""
    if answer.fault is not None:
        return answer.fault.value
    if answer.status == 429:
        return "http_429"
    return "http_5xx" if answer.status >= 500 else ""


def _answered(origin: str, verdict: Literal["rules", "allow_all"], text: str = "") -> RobotsRecord:
    return RobotsRecord(origin=origin, verdict=verdict, text=text, expires_in_seconds=FRESH_SECONDS)
