"""Parser processes: real forks, real signals."""

from __future__ import annotations

import asyncio
import gzip
import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from crawler.parser.port import ParseError, ParseRequest
from crawler.parser.processes import ParserProcesses
from crawler.parser.wire import ParserLimits
from shared.contracts.domain_pack_loader import default_pack
from shared.supervisor.fork_server import Child, ForkServer
from tests.fixtures.parsers import PACK, SMALL_LIMITS, USER_AGENT, fork_server, parsers

__all__ = ["fork_server", "parsers"]

QUADRATIC = b"<div>" * 100_000
HONEST = b"<title>Honest</title><p>Text</p>"


class WatchedForks:
    """A fork server that remembers its children."""

    def __init__(self, forks: ForkServer) -> None:
        self._forks = forks
        self.children: list[Child] = []

    async def spawn(self, target: str) -> Child:
        child = await self._forks.spawn(target)
        self.children.append(child)
        return child


@pytest.fixture
def forks(fork_server: ForkServer) -> WatchedForks:
    return WatchedForks(fork_server)


@pytest_asyncio.fixture
async def make_parser(
    forks: WatchedForks, fork_server: ForkServer
) -> AsyncIterator[Callable[[ParserLimits], ParserProcesses]]:
    """Make parsers of one process each, and end them after the test."""
    made: list[ParserProcesses] = []

    def make(limits: ParserLimits) -> ParserProcesses:
        packs = {PACK.name: PACK}
        made.append(ParserProcesses(forks, packs, user_agent=USER_AGENT, count=1, limits=limits))
        return made[-1]

    yield make
    for each in made:
        await each.close()
    fork_server.close()


@pytest.fixture
def parser(make_parser: Callable[[ParserLimits], ParserProcesses]) -> ParserProcesses:
    """One parser process."""
    return make_parser(SMALL_LIMITS)


def page(body: bytes = HONEST, pack: str = PACK.name) -> ParseRequest:
    return ParseRequest(
        url="http://127.0.0.1/a", body=body, content_type="text/html; charset=utf-8", pack=pack
    )


async def failure(parser: ParserProcesses, request: ParseRequest) -> str:
    with pytest.raises(ParseError) as failed:
        await parser.parse(request)
    return failed.value.reason


async def test_pages_are_parsed_by_processes_that_stay(
    parser: ParserProcesses, forks: WatchedForks
) -> None:
    pages = [await parser.parse(page(b"<title>%d</title>" % number)) for number in range(20)]
    assert [each.title for each in pages] == [str(number) for number in range(20)]
    assert len(forks.children) == 1


async def test_children_are_forked_at_start(parser: ParserProcesses, forks: WatchedForks) -> None:
    await parser.start()
    assert len(forks.children) == 1


async def test_a_large_page_goes_through_and_comes_back(parser: ParserProcesses) -> None:
    words = b"word " * 1_000_000
    assert len((await parser.parse(page(b"<p>" + words))).text) == len(words) - 1


async def test_a_page_that_takes_too_much_processor_time_is_given_up(
    parser: ParserProcesses, forks: WatchedForks
) -> None:
    assert await failure(parser, page(QUADRATIC)) == "parser_timeout"
    assert await forks.children[0].exited() == -signal.SIGPROF
    assert (await parser.parse(page())).title == "Honest"


async def test_processor_time_is_counted_for_each_page_alone(
    parser: ParserProcesses, forks: WatchedForks
) -> None:
    """Together these pages take more than one page may."""
    costly = page(b"<ul>" + b"<li><b>word</b> " * 30_000)
    await parser.start()
    statistics = Path(f"/proc/{forks.children[0].pid}/stat")
    spent = 0.0
    while spent <= 1.5 * SMALL_LIMITS.cpu_seconds:
        await parser.parse(costly)
        user, system = statistics.read_text().rpartition(")")[2].split()[11:13]
        spent = (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
    assert len(forks.children) == 1


async def test_a_page_that_takes_too_much_memory_is_given_up(parser: ParserProcesses) -> None:
    hungry = page(b"<p>" + b"x" * (SMALL_LIMITS.memory_bytes // 3))
    assert await failure(parser, hungry) in ("parser_memory", "parser_crash")
    assert (await parser.parse(page())).title == "Honest"


async def test_a_child_that_is_killed_takes_one_page_with_it(
    parser: ParserProcesses, forks: WatchedForks
) -> None:
    await parser.start()
    task = asyncio.create_task(parser.parse(page(QUADRATIC)))
    await asyncio.sleep(0)
    os.kill(forks.children[0].pid, signal.SIGSEGV)
    with pytest.raises(ParseError, match=r"parser_crash: .*SIGSEGV"):
        await task
    assert (await parser.parse(page())).title == "Honest"


async def test_a_child_that_stops_is_killed_after_the_wall_time(
    forks: WatchedForks, make_parser: Callable[[ParserLimits], ParserProcesses]
) -> None:
    parser = make_parser(ParserLimits(wall_seconds=2.0))
    await parser.parse(page())
    os.kill(forks.children[0].pid, signal.SIGSTOP)
    assert await failure(parser, page()) == "parser_timeout"
    assert await forks.children[0].exited() == -signal.SIGKILL
    assert (await parser.parse(page())).title == "Honest"


async def test_an_answer_that_nobody_waited_for_is_never_taken_for_another_pages(
    parser: ParserProcesses,
) -> None:
    await parser.start()
    cancelled = asyncio.create_task(parser.parse(page(b"<title>Cancelled</title>")))
    await asyncio.sleep(0)
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    assert (await parser.parse(page())).title == "Honest"


async def test_a_child_that_has_grown_is_replaced_without_losing_a_page(
    forks: WatchedForks, make_parser: Callable[[ParserLimits], ParserProcesses]
) -> None:
    parser = make_parser(ParserLimits(retire_bytes=-1 << 40))  # every page is one too many
    for _ in range(3):
        assert (await parser.parse(page())).title == "Honest"
    assert len(forks.children) == 3
    assert await forks.children[0].exited() == 0


async def test_what_is_no_html_fails_and_costs_no_child(
    parser: ParserProcesses, forks: WatchedForks
) -> None:
    request = ParseRequest(url="http://x/", body=b"%PDF", content_type="a/pdf", pack=PACK.name)
    assert await failure(parser, request) == "not_html"
    assert (await parser.parse(page())).title == "Honest"
    assert len(forks.children) == 1


async def test_packs_of_single_hosts_need_not_be_known(parser: ParserProcesses) -> None:
    name = default_pack("http://127.0.0.1/").name
    assert (await parser.parse(page(pack=name))).title == "Honest"
    assert await failure(parser, page(pack="nobody")) == "unknown_pack"


async def test_two_processes_parse_at_the_same_time(parsers: ParserProcesses) -> None:
    """A page that hangs in one process does not hold up the other."""
    hanging = asyncio.create_task(parsers.parse(page(QUADRATIC)))
    await asyncio.sleep(0)
    for _ in range(10):
        assert (await parsers.parse(page())).title == "Honest"
    assert not hanging.done()
    with pytest.raises(ParseError):
        await hanging


async def test_reads_sitemaps_under_the_same_limits(parser: ParserProcesses) -> None:
    body = gzip.compress(b"<urlset><url><loc>/a</loc></url></urlset>")
    sitemap = await parser.sitemap(body, "application/gzip", "https://example.org/map.xml.gz")
    assert [url.url for url in sitemap.urls] == ["https://example.org/a"]


async def test_closing_ends_the_children(parser: ParserProcesses, forks: WatchedForks) -> None:
    await parser.start()
    await parser.close()
    assert await asyncio.wait_for(forks.children[0].exited(), 10) in (0, -signal.SIGKILL)
