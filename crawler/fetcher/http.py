"""The fetcher over aiohttp: one connection pool, no cookies, no redirects, every limit on."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import Any

import aiohttp
from yarl import URL

from crawler.fetcher.address_guard import AddressGuard, AddressRefusedError
from crawler.fetcher.body_reader import BodyReader, BodyTooLargeError, BodyTooSlowError
from crawler.fetcher.decoding import ACCEPT_ENCODING, DecodingError
from crawler.fetcher.port import FetchAnswer, FetchFault, FetchRequest
from crawler.url.normalizer import InvalidUrlError, absolute, normalize
from shared.clock import Clock, SystemClock

MAX_HEADER_BYTES = 16 * 1024
MAX_HEADERS = 128
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_ACCEPT = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.5"


class AiohttpFetcher:
    """Implements crawler.fetcher.port.Fetcher. Made inside a running loop."""

    def __init__(
        self,
        guard: AddressGuard,
        user_agent: str,
        *,
        clock: Clock | None = None,
        min_bytes_per_second: int = 256,
        slow_start_seconds: float = 10.0,
        max_connections: int = 1000,
    ) -> None:
        """Make a fetcher that says it is `user_agent`, as `worker-suite/0.1 (+https://...)`.

        A body may be slower than `min_bytes_per_second` for its first `slow_start_seconds`.
        """
        self._clock = clock or SystemClock()
        self._min_bytes_per_second = min_bytes_per_second
        self._slow_start_seconds = slow_start_seconds
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=max_connections, ttl_dns_cache=300, socket_factory=guard.socket
            ),
            headers={
                "User-Agent": user_agent,
                "Accept": _ACCEPT,
                "Accept-Encoding": ACCEPT_ENCODING,
            },
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
            max_line_size=MAX_HEADER_BYTES,
            max_field_size=MAX_HEADER_BYTES,
            max_headers=MAX_HEADERS,
            response_class=_Response,
        )
        # A second try on a fresh connection would be a request that no grant was given for.
        self._session._retry_connection = False

    async def fetch(self, request: FetchRequest) -> FetchAnswer:
        """Send one GET request and read its answer within the limits."""
        exchange = _Exchange(self._clock)
        _current.set(exchange)
        begun = self._clock.monotonic()
        try:
            async with asyncio.timeout(request.timeout_seconds):
                known = await self._exchange(request)
        except TimeoutError:
            known = _failed(FetchFault.TIMEOUT, f"not done after {request.timeout_seconds:g} s")
        except Exception as error:  # noqa: BLE001 - whatever a server makes the client raise
            known = _failed(_fault_of(error), f"{type(error).__name__}: {error}")
        return FetchAnswer(
            url=request.url,
            arrived_by=exchange.answered_at or self._clock.monotonic(),
            elapsed_seconds=self._clock.monotonic() - (exchange.sent_at or begun),
            remote_address=exchange.remote_address,
            **known,
        )

    async def close(self) -> None:
        """Close idle connections."""
        await self._session.close()

    async def _exchange(self, request: FetchRequest) -> dict[str, Any]:
        url = normalize(request.url).url
        async with self._session.get(
            URL(url, encoded=True), headers=_request_headers(request), allow_redirects=False
        ) as response:
            headers = _response_headers(response)
            known: dict[str, Any] = {"status": response.status, "headers": headers}
            if response.status in _REDIRECTS:
                # The body of a redirect is of no use; its connection is not worth reading it.
                response.close()
                return known | {"redirect_to": _target(url, headers.get("location", ""))}
            reader = BodyReader(
                max_bytes=request.max_body_bytes,
                truncate=request.truncate,
                min_bytes_per_second=self._min_bytes_per_second,
                slow_start_seconds=self._slow_start_seconds,
            )
            body = await reader.read(response.content, headers.get("content-encoding", ""))
            return known | {"body": body}


class _Exchange:
    """What only the innermost part of the client knows about the request under way."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.sent_at = 0.0
        self.answered_at = 0.0
        self.remote_address = ""

    def sent(self, peer: Any) -> None:
        """Note when the request left, and to whom."""
        self.sent_at = self._clock.monotonic()
        self.remote_address = str(peer[0]) if peer else ""

    def answered(self) -> None:
        """Note when the head of the answer came: the first proof that the request arrived."""
        self.answered_at = self._clock.monotonic()


_current: ContextVar[_Exchange] = ContextVar("current_exchange")


class _Response(aiohttp.ClientResponse):
    """A response that notes when its request was sent and when its own head came."""

    async def start(self, connection: Any) -> aiohttp.ClientResponse:
        transport = connection.transport
        exchange = _current.get()
        exchange.sent(transport.get_extra_info("peername") if transport else None)
        answered = await super().start(connection)
        exchange.answered()
        return answered


def _request_headers(request: FetchRequest) -> dict[str, str]:
    """Add validators, unless a server gave us one that no header may carry."""
    validators = {"If-None-Match": request.etag, "If-Modified-Since": request.last_modified}
    usable = {
        name: value
        for name, value in validators.items()
        if value and value.isascii() and value.isprintable()
    }
    return {**request.headers, **usable}


def _response_headers(response: aiohttp.ClientResponse) -> dict[str, str]:
    """Join repeated headers, in lower case; bytes that are not UTF-8 become U+FFFD."""
    joined: dict[str, str] = {}
    for name, value in response.headers.items():
        clean = value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        lower = name.lower()
        joined[lower] = f"{joined[lower]}, {clean}" if lower in joined else clean
    return joined


def _target(url: str, location: str) -> str:
    """Return where a Location leads; empty when it leads nowhere that can be fetched."""
    return (location and absolute(url, location)) or ""


def _failed(fault: FetchFault, detail: str) -> dict[str, Any]:
    return {"fault": fault, "detail": detail[:500]}


_FAULTS: tuple[tuple[type[BaseException], FetchFault], ...] = (
    # The most specific class first.
    (InvalidUrlError, FetchFault.INVALID_URL),
    (BodyTooLargeError, FetchFault.TOO_LARGE),
    (BodyTooSlowError, FetchFault.TOO_SLOW),
    (DecodingError, FetchFault.BAD_CODING),
    (aiohttp.ClientConnectorDNSError, FetchFault.DNS),
    (aiohttp.ClientSSLError, FetchFault.TLS),
    (aiohttp.ServerDisconnectedError, FetchFault.CONNECT),
    (aiohttp.ClientOSError, FetchFault.CONNECT),
    (aiohttp.ClientError, FetchFault.BAD_HTTP),
)


def _fault_of(error: BaseException) -> FetchFault:
    if isinstance(error, aiohttp.ClientConnectorError) and isinstance(
        error.os_error, AddressRefusedError
    ):
        return FetchFault.ADDRESS_REFUSED
    for kind, fault in _FAULTS:
        if isinstance(error, kind):
            return fault
    return FetchFault.BAD_HTTP
