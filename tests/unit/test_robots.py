from __future__ import annotations

from typing import Any

import pytest

from crawler.fetcher.port import FetchAnswer, FetchFault
from crawler.fetcher.robots import (
    FRESH_SECONDS,
    MAX_EXPLAINED_RULES,
    MAX_ROBOTS_BYTES,
    UNREACHABLE_SECONDS,
    parse_robots,
    product_token,
    robots_record,
    robots_request,
    rules_of,
)
from crawler.frontier.port import RobotsRecord

ORIGIN = "https://example.org"
AGENT = "Foo-Bot/1.0 (+https://foo.example/bot)"


def allows(text: str, path: str, agent: str = AGENT) -> bool:
    return parse_robots(text, agent).allows(f"{ORIGIN}{path}").allowed


def answer(status: int = 200, body: bytes = b"", **more: Any) -> FetchAnswer:
    return FetchAnswer(url=f"{ORIGIN}/robots.txt", status=status, body=body, arrived_by=0.0, **more)


@pytest.mark.parametrize(
    ("text", "path", "allowed"),
    [
        ("", "/a", True),
        ("User-agent: *\nDisallow: /a", "/a", False),
        ("User-agent: *\nDisallow: /a", "/b", True),
        ("User-agent: *\nDisallow: /a", "/A", True),
        ("User-agent: *\nDisallow:", "/a", True),
        ("User-agent: *\nDisallow: /a\nAllow: /a/b", "/a/b/c", True),
        ("User-agent: *\nDisallow: /*.pdf$", "/x.pdf", False),
        ("User-agent: *\nDisallow: /*.pdf$", "/x.pdf?y", True),
        ("User-agent: *\nDisallow: /a?b=", "/a?b=1", False),
        ("User-agent: *\nDisallow: /\n\nUser-agent: foo-bot\nDisallow: /a", "/b", True),
        ("User-agent: foo-bot\nDisallow: /a\n\nUser-agent: *\nDisallow: /", "/a", False),
        ("User-agent: other\nDisallow: /", "/a", True),
        ("\ufeffUser-agent: *\nDisallow: /a", "/a", False),
        ("<html>Not found</html>", "/a", True),
    ],
)
def test_rules(text: str, path: str, allowed: bool) -> None:
    assert allows(text, path) is allowed


def test_only_the_product_token_names_us() -> None:
    text = "User-agent: example\nDisallow: /a\n\nUser-agent: foo\nDisallow: /b"
    assert product_token(AGENT) == "Foo-Bot"
    assert allows(text, "/a", "Foo-Bot/1.0 (+https://example/)")


def test_crawl_delay_and_sitemaps() -> None:
    rules = parse_robots(
        "Sitemap: https://example.org/a.xml\nUser-agent: *\nCrawl-delay: 2.5\nSitemap: /b.xml",
        AGENT,
    )
    assert (rules.crawl_delay, list(rules.sitemaps)) == (
        2.5,
        ["https://example.org/a.xml", "/b.xml"],
    )
    assert parse_robots("User-agent: *\nCrawl-delay: soon", AGENT).crawl_delay is None


def test_rules_beyond_512_kib_do_not_count() -> None:
    padding = "# x\n" * (MAX_ROBOTS_BYTES // 4)
    assert not allows("User-agent: *\nDisallow: /a\n" + padding, "/a")
    assert allows("User-agent: *\n" + padding + "Disallow: /a\n", "/a")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("User-agent: *\nDisallow: /a", "Disallow: /a"),
        ("User-agent: *\nDisallow: /\nDisallow: /a*c  # why", "Disallow: /a*c  # why"),
        (
            "User-agent: foo-bot\nDisallow: /abc/\n\nUser-agent: *\nDisallow: /abc/d",
            "Disallow: /abc/",
        ),
    ],
)
def test_explains_which_line_refused(text: str, line: str) -> None:
    decision = parse_robots(text, AGENT).allows(f"{ORIGIN}/abc/def", explain=True)
    assert (decision.allowed, decision.line) == (False, line)


def test_does_not_explain_a_file_that_would_take_long() -> None:
    text = "User-agent: *\nDisallow: /abc\n" + "".join(
        f"Disallow: /{number}\n" for number in range(MAX_EXPLAINED_RULES)
    )
    decision = parse_robots(text, AGENT).allows(f"{ORIGIN}/abc", explain=True)
    assert (decision.allowed, decision.line) == (False, "")


def test_a_file_gives_its_rules_for_a_day() -> None:
    record = robots_record(answer(body=b"\xef\xbb\xbfUser-agent: *\0\nDisallow: /\xff"), ORIGIN)
    assert record == RobotsRecord(
        origin=ORIGIN,
        verdict="rules",
        text="User-agent: *\nDisallow: /\ufffd",
        expires_in_seconds=FRESH_SECONDS,
    )


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 418])
def test_a_missing_file_allows_all(status: int) -> None:
    record = robots_record(answer(status, b"User-agent: *\nDisallow: /"), ORIGIN)
    assert isinstance(record, RobotsRecord)
    assert (record.verdict, record.expires_in_seconds) == ("allow_all", FRESH_SECONDS)
    assert rules_of(record, AGENT).allows(f"{ORIGIN}/a").allowed


@pytest.mark.parametrize(
    "found",
    [
        *(answer(status) for status in (429, 500, 502, 503, 504)),
        *(answer(0, fault=fault) for fault in FetchFault),
    ],
    ids=lambda found: found.fault.value if found.fault else str(found.status),
)
def test_a_site_in_trouble_allows_nothing_for_a_short_time(found: FetchAnswer) -> None:
    record = robots_record(found, ORIGIN)
    assert isinstance(record, RobotsRecord)
    assert (record.verdict, record.expires_in_seconds) == ("disallow_all", UNREACHABLE_SECONDS)
    assert not rules_of(record, AGENT).allows(f"{ORIGIN}/a").allowed


def test_redirects_are_left_to_the_caller_five_times() -> None:
    moved = answer(301, redirect_to="https://www.example.org/robots.txt")
    assert robots_record(moved, ORIGIN, hops=4) == "https://www.example.org/robots.txt"
    record = robots_record(moved, ORIGIN, hops=5)
    assert isinstance(record, RobotsRecord)
    assert record.verdict == "allow_all"


def test_asks_for_the_beginning_of_a_long_file() -> None:
    request = robots_request(f"{ORIGIN}/robots.txt", 7.0)
    assert (request.max_body_bytes, request.truncate, request.timeout_seconds) == (
        MAX_ROBOTS_BYTES,
        True,
        7.0,
    )


def test_rules_of_a_record_are_parsed_once() -> None:
    record = RobotsRecord(
        origin=ORIGIN, verdict="rules", text="User-agent: *", expires_in_seconds=1
    )
    assert rules_of(record, AGENT) is rules_of(record, AGENT)
