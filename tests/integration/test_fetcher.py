"""The fetcher on a real connection to an honest server."""

from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web

from crawler.fetcher.address_guard import AddressGuard
from crawler.fetcher.http import AiohttpFetcher
from crawler.fetcher.port import FetchFault, FetchRequest

CERTIFICATE = Path(__file__).parents[1] / "fixtures" / "self_signed.pem"
"""For localhost, with its key, signed by itself: nobody trusts it."""
LOOPBACK = ["127.0.0.0/8", "::1/128"]


class Site:
    """A server that remembers what it was asked."""

    def __init__(self) -> None:
        self.requests: list[web.BaseRequest] = []
        self.arrived: list[float] = []
        self.clients: set[int] = set()
        self.origin = ""

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self.arrived.append(time.monotonic())
        self.requests.append(request)
        assert request.transport is not None
        self.clients.add(request.transport.get_extra_info("peername")[1])
        if request.path == "/cookie":
            return web.Response(text="c", headers={"Set-Cookie": "a=1; Path=/"})
        if request.path == "/etag":
            known = request.headers.get("If-None-Match") == '"v1"'
            return web.Response(status=304 if known else 200, headers={"ETag": '"v1"'})
        if request.path == "/gzip":
            body = gzip.compress(b"text" * 1000)
            return web.Response(body=body, headers={"Content-Encoding": "gzip"})
        if request.path == "/slow-start":
            await asyncio.sleep(0.3)
        return web.Response(text="x" * 1000, content_type="text/html")


@pytest_asyncio.fixture
async def site() -> AsyncIterator[Site]:
    made = Site()
    runner = web.ServerRunner(web.Server(made.answer))
    await runner.setup()
    listener = web.TCPSite(runner, "127.0.0.1", 0)
    await listener.start()
    assert runner.addresses
    made.origin = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


@pytest_asyncio.fixture
async def fetcher() -> AsyncIterator[AiohttpFetcher]:
    made = AiohttpFetcher(AddressGuard(LOOPBACK), "test-crawler/1.0 (+https://example.org/bot)")
    yield made
    await made.close()


async def test_an_answer_says_what_came_from_whom_and_when(
    site: Site, fetcher: AiohttpFetcher
) -> None:
    answer = await fetcher.fetch(FetchRequest(url=f"{site.origin}/slow-start"))
    assert (answer.status, answer.body, answer.remote_address) == (200, b"x" * 1000, "127.0.0.1")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert site.arrived[0] <= answer.arrived_by <= time.monotonic()
    assert 0.3 <= answer.elapsed_seconds < 30.0


async def test_arrival_is_known_from_the_answer_and_so_never_too_early(site: Site) -> None:
    """A delay counts from the arrival: one that is too early lets the next come too soon."""
    one_at_a_time = AiohttpFetcher(AddressGuard(LOOPBACK), "test/1.0", max_connections=1)
    url = f"{site.origin}/slow-start"
    answers = await asyncio.gather(*(one_at_a_time.fetch(FetchRequest(url=url)) for _ in range(2)))
    await one_at_a_time.close()
    known = sorted(answer.arrived_by for answer in answers)
    assert all(seen <= said for seen, said in zip(sorted(site.arrived), known, strict=True))


async def test_says_who_it_is_and_what_it_reads(site: Site, fetcher: AiohttpFetcher) -> None:
    await fetcher.fetch(FetchRequest(url=f"{site.origin}/", headers={"Accept-Language": "de"}))
    headers = site.requests[0].headers
    assert headers["User-Agent"] == "test-crawler/1.0 (+https://example.org/bot)"
    assert headers["Accept-Encoding"] == "gzip, deflate, br, zstd"
    assert headers["Accept-Language"] == "de"


async def test_one_connection_serves_many_requests(site: Site, fetcher: AiohttpFetcher) -> None:
    for _ in range(5):
        assert (await fetcher.fetch(FetchRequest(url=f"{site.origin}/"))).status == 200
    assert len(site.clients) == 1


async def test_a_request_is_sent_once_even_if_its_kept_connection_breaks(
    fetcher: AiohttpFetcher,
) -> None:
    """A client that tried again by itself would ask without a grant."""
    asked: list[bytes] = []

    async def answer_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readuntil(b"\r\n\r\n")).splitlines()[0])
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx")
        asked.append((await reader.readuntil(b"\r\n\r\n")).splitlines()[0])
        writer.close()

    async with await asyncio.start_server(answer_once, "127.0.0.1", 0) as server:
        origin = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        assert (await fetcher.fetch(FetchRequest(url=f"{origin}/1"))).status == 200
        assert (await fetcher.fetch(FetchRequest(url=f"{origin}/2"))).fault is FetchFault.CONNECT
    assert asked == [b"GET /1 HTTP/1.1", b"GET /2 HTTP/1.1"]


async def test_cookies_are_not_kept(site: Site, fetcher: AiohttpFetcher) -> None:
    for _ in range(2):
        await fetcher.fetch(FetchRequest(url=f"{site.origin}/cookie"))
    assert "Cookie" not in site.requests[1].headers


async def test_an_unchanged_page_is_not_sent_again(site: Site, fetcher: AiohttpFetcher) -> None:
    first = await fetcher.fetch(FetchRequest(url=f"{site.origin}/etag"))
    etag = first.headers["etag"]
    again = await fetcher.fetch(FetchRequest(url=f"{site.origin}/etag", etag=etag))
    assert (first.status, again.status, again.body) == (200, 304, b"")


@pytest.mark.parametrize("path", ["", "gzip"])
async def test_a_body_of_just_the_limit_passes_and_one_byte_more_does_not(
    site: Site, fetcher: AiohttpFetcher, path: str
) -> None:
    url = f"{site.origin}/{path}"
    size = len((await fetcher.fetch(FetchRequest(url=url))).body)
    whole = await fetcher.fetch(FetchRequest(url=url, max_body_bytes=size))
    over = await fetcher.fetch(FetchRequest(url=url, max_body_bytes=size - 1))
    cut = await fetcher.fetch(FetchRequest(url=url, max_body_bytes=size - 1, truncate=True))
    assert (whole.fault, len(whole.body)) == (None, size)
    assert (over.fault, over.body) == (FetchFault.TOO_LARGE, b"")
    assert (cut.fault, len(cut.body)) == (None, size - 1)


async def test_the_path_is_asked_for_as_it_is_written(site: Site, fetcher: AiohttpFetcher) -> None:
    await fetcher.fetch(FetchRequest(url=f"{site.origin}/a%2Fb%20c/%7E?q=%C3%A9+1&r=a%26b"))
    assert site.requests[0].raw_path == "/a%2Fb%20c/%7E?q=%C3%A9+1&r=a%26b"


async def test_a_port_where_nobody_listens(fetcher: AiohttpFetcher) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # bound and not listening: the kernel refuses
        answer = await fetcher.fetch(FetchRequest(url=f"http://127.0.0.1:{held.getsockname()[1]}/"))
    assert answer.fault is FetchFault.CONNECT
    assert answer.fault.transient


async def test_a_name_that_does_not_exist(fetcher: AiohttpFetcher) -> None:
    answer = await fetcher.fetch(FetchRequest(url="http://nobody.invalid/", timeout_seconds=20))
    assert answer.fault is FetchFault.DNS


async def test_a_name_that_leads_inside_is_refused_after_its_resolution(site: Site) -> None:
    guarded = AiohttpFetcher(AddressGuard(["10.0.0.0/8"]), "test/1.0")
    port = site.origin.rpartition(":")[2]
    answer = await guarded.fetch(FetchRequest(url=f"http://localhost:{port}/"))
    await guarded.close()
    assert answer.fault is FetchFault.ADDRESS_REFUSED
    assert not answer.fault.transient
    assert site.requests == []


async def test_a_certificate_that_nobody_trusts_is_refused(fetcher: AiohttpFetcher) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    asked = []

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.read(1))
        writer.close()

    async with await asyncio.start_server(converse, "127.0.0.1", 0, ssl=context) as server:
        port = server.sockets[0].getsockname()[1]
        answer = await fetcher.fetch(FetchRequest(url=f"https://localhost:{port}/"))
    assert answer.fault is FetchFault.TLS
    assert asked == []


async def test_a_cancelled_fetch_is_cancelled(site: Site, fetcher: AiohttpFetcher) -> None:
    task = asyncio.create_task(fetcher.fetch(FetchRequest(url=f"{site.origin}/slow-start")))
    while not site.requests:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
