"""Odd answers of a web server, by aioresponses; the wire itself is in tests/integration."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from aiohttp.client_reqrep import ConnectionKey
from aioresponses import aioresponses
from yarl import URL

from crawler.fetcher.address_guard import AddressGuard, AddressRefusedError
from crawler.fetcher.http import AiohttpFetcher
from crawler.fetcher.port import FetchAnswer, FetchFault, FetchRequest
from shared.clock import FrozenClock
from tests.fixtures.client_response import MockedResponse

URL_ASKED = "https://example.org/a"
CONNECTION = ConnectionKey("example.org", 443, True, True, None, None, None)


@pytest.fixture
def web() -> Iterator[aioresponses]:
    with aioresponses() as mocked:
        yield mocked


@pytest_asyncio.fixture
async def fetcher() -> AsyncIterator[AiohttpFetcher]:
    made = AiohttpFetcher(AddressGuard(), "test/1.0 (+https://x)", clock=FrozenClock())
    yield made
    await made.close()


async def ask(
    fetcher: AiohttpFetcher,
    web: aioresponses,
    *,
    request: FetchRequest | None = None,
    **answer: Any,
) -> FetchAnswer:
    web.get(URL_ASKED, response_class=MockedResponse, **answer)
    return await fetcher.fetch(request or FetchRequest(url=URL_ASKED))


@pytest.mark.parametrize("status", [200, 204, 304, 403, 404, 410, 429, 500, 503, 599])
async def test_every_status_is_an_answer(
    fetcher: AiohttpFetcher, web: aioresponses, status: int
) -> None:
    answer = await ask(fetcher, web, status=status, headers={"Retry-After": "7"})
    assert (answer.status, answer.fault, answer.redirect_to) == (status, None, "")
    assert answer.headers["retry-after"] == "7"


@pytest.mark.parametrize(
    ("status", "location", "redirect_to"),
    [
        (301, "https://other.example/x#part", "https://other.example/x"),
        (302, "/b", "https://example.org/b"),
        (303, "b?c", "https://example.org/b?c"),
        (307, "//other.example", "https://other.example/"),
        (308, "http:\\\\other.example\\x", "http://other.example/x"),
        (302, "javascript:alert(1)", ""),
        (302, "http://[bad", ""),
        (302, "", ""),
        (300, "/b", ""),
        (304, "/b", ""),
        (200, "/b", ""),
    ],
)
async def test_redirects_are_told_and_not_followed(
    fetcher: AiohttpFetcher, web: aioresponses, status: int, location: str, redirect_to: str
) -> None:
    answer = await ask(fetcher, web, status=status, headers={"Location": location})
    assert answer.redirect_to == redirect_to
    assert [str(url) for _, url in web.requests] == [URL_ASKED]


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (aiohttp.ClientConnectorDNSError(CONNECTION, OSError("no such name")), FetchFault.DNS),
        (aiohttp.ClientConnectorError(CONNECTION, OSError("refused")), FetchFault.CONNECT),
        (
            aiohttp.ClientConnectorError(CONNECTION, AddressRefusedError("10.0.0.1")),
            FetchFault.ADDRESS_REFUSED,
        ),
        (aiohttp.ClientConnectorSSLError(CONNECTION, OSError("old TLS")), FetchFault.TLS),
        (
            aiohttp.ClientConnectorCertificateError(CONNECTION, ValueError("expired")),
            FetchFault.TLS,
        ),
        (aiohttp.ServerDisconnectedError(), FetchFault.CONNECT),
        (aiohttp.ClientOSError(104, "reset by peer"), FetchFault.CONNECT),
        (aiohttp.ClientPayloadError("cut"), FetchFault.BAD_HTTP),
        (TimeoutError(), FetchFault.TIMEOUT),
        (socket.gaierror("name"), FetchFault.BAD_HTTP),
        (UnicodeError("what is this"), FetchFault.BAD_HTTP),
        (RuntimeError("what a server may make a client raise"), FetchFault.BAD_HTTP),
    ],
)
async def test_every_error_is_a_fault(
    fetcher: AiohttpFetcher, web: aioresponses, error: Exception, fault: FetchFault
) -> None:
    answer = await ask(fetcher, web, exception=error)
    assert (answer.fault, answer.status) == (fault, 0)
    assert answer.detail


@pytest.mark.parametrize("url", ["", "ftp://x/", "http://u:p@example.org/", "http://a..b/"])
async def test_a_url_that_is_none_is_a_fault_and_never_asked(
    fetcher: AiohttpFetcher, web: aioresponses, url: str
) -> None:
    answer = await fetcher.fetch(FetchRequest(url=url))
    assert answer.fault is FetchFault.INVALID_URL
    assert not answer.fault.transient
    assert not web.requests


async def test_asks_conditionally_with_what_headers_can_carry(
    fetcher: AiohttpFetcher, web: aioresponses
) -> None:
    request = FetchRequest(
        url=URL_ASKED, etag='W/"1"', last_modified="Tue, 01 Jan 2030 00:00:00\r\nEvil: 1"
    )
    await ask(fetcher, web, request=request)
    (call,) = web.requests[("GET", URL(URL_ASKED))]
    headers = call.kwargs["headers"]
    assert headers["If-None-Match"] == 'W/"1"'
    assert "If-Modified-Since" not in headers
    assert headers["User-Agent"] == "test/1.0 (+https://x)"


async def test_repeated_headers_are_joined(fetcher: AiohttpFetcher, web: aioresponses) -> None:
    answer = await ask(
        fetcher, web, headers=[("X-Robots-Tag", "noindex"), ("x-robots-tag", "nofollow")]
    )
    assert answer.headers["x-robots-tag"] == "noindex, nofollow"
