"""The fetcher and the parser processes against every behaviour of the hostile web."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from crawler.fetcher.address_guard import AddressGuard
from crawler.fetcher.http import AiohttpFetcher
from crawler.fetcher.port import FetchAnswer, FetchFault, FetchRequest
from crawler.fetcher.robots import parse_robots, robots_record, robots_request
from crawler.hostile_web.redirects import PRIVATE_SPELLINGS
from crawler.hostile_web.server import BEHAVIOURS, HostileWeb
from crawler.hostile_web.well_known import well_known
from crawler.parser.port import ParsedPage, ParseError, ParseRequest
from crawler.parser.processes import ParserProcesses
from tests.fixtures.parsers import PACK, USER_AGENT, fork_server, parsers

__all__ = ["fork_server", "parsers"]

MIB = 1 << 20
MAX_BODY_BYTES = 8 * MIB
MAX_GROWTH_BYTES = 64 * MIB
MAX_SECONDS = 20.0


@pytest_asyncio.fixture
async def web() -> AsyncIterator[HostileWeb]:
    async with HostileWeb() as started:
        yield started


@pytest_asyncio.fixture
async def fetcher() -> AsyncIterator[AiohttpFetcher]:
    made = AiohttpFetcher(
        AddressGuard(["127.0.0.1/32"]),
        USER_AGENT,
        min_bytes_per_second=1_000,
        slow_start_seconds=0.5,
    )
    yield made
    await made.close()


def request(url: str) -> FetchRequest:
    return FetchRequest(url=url, max_body_bytes=MAX_BODY_BYTES, timeout_seconds=3.0)


async def parse(parsers: ParserProcesses, answer: FetchAnswer) -> ParsedPage:
    return await parsers.parse(
        ParseRequest(
            url=answer.url,
            body=answer.body,
            content_type=answer.headers.get("content-type", ""),
            x_robots_tag=answer.headers.get("x-robots-tag", ""),
            pack=PACK.name,
        )
    )


async def outcome(parsers: ParserProcesses, answer: FetchAnswer, name: str) -> str:
    if answer.fault is not None:
        return answer.fault.value
    if answer.redirect_to:
        return "redirect"
    if name in well_known.all:
        content_type = answer.headers.get("content-type", "")
        sitemap = await parsers.sitemap(answer.body, content_type, answer.url)
        return sitemap.fault or "ok"
    try:
        await parse(parsers, answer)
    except ParseError as error:
        return error.reason
    return "ok"


def resident(field: str) -> int:
    """Return VmRSS (now) or VmHWM (highest since the last reset) of this process in bytes."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition(f"{field}:")[2].split()[0]) * 1024


def reset_highest() -> None:
    Path("/proc/self/clear_refs").write_text("5")


@pytest.mark.parametrize("name", [name for name in BEHAVIOURS if name != "huge_robots"])
async def test_comes_out_as_expected_in_bounded_time_and_memory(
    name: str, web: HostileWeb, fetcher: AiohttpFetcher, parsers: ParserProcesses
) -> None:
    if "bomb" in name:  # the server, in this very process, builds it before memory is measured
        await fetcher.fetch(request(f"{web.origin}/{name}"))
    reset_highest()
    before, begun = resident("VmRSS"), time.monotonic()
    answer = await fetcher.fetch(request(f"{web.origin}/{name}"))
    came_out = await outcome(parsers, answer, name)
    assert came_out in BEHAVIOURS[name].expected, answer.detail
    assert time.monotonic() - begun < MAX_SECONDS
    assert resident("VmHWM") - before < MAX_GROWTH_BYTES


async def test_a_page_that_kills_its_parser_hurts_no_other(
    web: HostileWeb, fetcher: AiohttpFetcher, parsers: ParserProcesses
) -> None:
    killer = await fetcher.fetch(request(f"{web.origin}/nested_markup"))
    honest = await fetcher.fetch(request(f"{web.origin}/"))
    results = await asyncio.gather(
        parse(parsers, killer),
        parse(parsers, honest),
        parse(parsers, killer),
        parse(parsers, honest),
        return_exceptions=True,
    )
    killed, *_ = failures = [each for each in results if isinstance(each, ParseError)]
    assert [each.title for each in results if isinstance(each, ParsedPage)] == ["Hostile web"] * 2
    assert len(failures) == 2
    assert killed.reason == "parser_timeout"


@pytest.mark.parametrize("number", range(len(PRIVATE_SPELLINGS)))
async def test_no_spelling_of_a_private_address_gets_through(
    number: int, web: HostileWeb, fetcher: AiohttpFetcher
) -> None:
    answer = await fetcher.fetch(request(f"{web.origin}/redirect_inward?n={number}"))
    guarded = AiohttpFetcher(AddressGuard(), USER_AGENT)
    reached = await guarded.fetch(request(answer.redirect_to))
    await guarded.close()
    assert answer.redirect_to
    assert reached.fault in (FetchFault.ADDRESS_REFUSED, FetchFault.INVALID_URL)
    assert "/secret" not in web.asked


async def test_the_same_spellings_reach_the_server_when_they_are_allowed(
    web: HostileWeb, fetcher: AiohttpFetcher
) -> None:
    """Shows that the guard, and nothing else, kept the request of the test above away."""
    answer = await fetcher.fetch(request(f"{web.origin}/redirect_inward?n=6"))
    assert (await fetcher.fetch(request(answer.redirect_to))).status == 200
    assert "/secret" in web.asked


async def test_poison_is_gone_from_everything_that_is_kept(
    web: HostileWeb, fetcher: AiohttpFetcher, parsers: ParserProcesses
) -> None:
    page = await parse(parsers, await fetcher.fetch(request(f"{web.origin}/poisoned_text")))
    assert page.title == "T\ufffdi]0;owned"
    assert page.fields["product"] == "AB[31m"
    for text in (page.title, page.description, page.text, page.body.decode("utf-8")):
        assert not any(ord(char) < 32 and char != "\n" for char in text)
    assert b"\\u0000" not in page.body


async def test_headers_of_wild_bytes_become_text(web: HostileWeb, fetcher: AiohttpFetcher) -> None:
    answer = await fetcher.fetch(request(f"{web.origin}/header_of_wild_bytes"))
    assert answer.headers["etag"] == '"��"'


async def test_links_inward_and_to_scripts_are_not_followed_blindly(
    web: HostileWeb, fetcher: AiohttpFetcher, parsers: ParserProcesses
) -> None:
    page = await parse(parsers, await fetcher.fetch(request(f"{web.origin}/inward_links")))
    assert [link.url for link in page.links] == ["http://169.254.169.254/latest"]
    assert (page.canonical, page.ignored_canonical) == ("", "file:///etc/passwd")
    refused = await fetcher.fetch(request(page.links[0].url))
    assert refused.fault is FetchFault.ADDRESS_REFUSED


async def test_a_long_robots_txt_is_cut_and_its_beginning_obeyed(
    web: HostileWeb, fetcher: AiohttpFetcher
) -> None:
    answer = await fetcher.fetch(robots_request(f"{web.origin}/huge_robots"))
    record = robots_record(answer, web.origin)
    assert not isinstance(record, str)
    assert len(record.text) <= 512 * 1024
    rules = parse_robots(record.text, USER_AGENT)
    assert not rules.allows(f"{web.origin}/front").allowed
    assert rules.allows(f"{web.origin}/back").allowed
