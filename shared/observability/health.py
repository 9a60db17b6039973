"""A very small HTTP server for /metrics, /health and /debug: GET, one request a connection."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from urllib.parse import parse_qsl, urlsplit

import msgspec

from shared.errors import DependencyError
from shared.observability.logs import get_logger

log = get_logger(__name__)

MAX_REQUEST_BYTES = 8192
REQUEST_SECONDS = 5.0
TEXT = "text/plain; charset=utf-8"
Query = Mapping[str, str]


class Response(msgspec.Struct, frozen=True):
    """What a route answers."""

    body: bytes
    status: HTTPStatus = HTTPStatus.OK
    content_type: str = TEXT


Route = Callable[[Query], Awaitable[Response]]


class BadQueryError(ValueError):
    """A route cannot make sense of its query; answered with 400 and the message."""


class HealthServer:
    """Answers routes by exact path; those under /debug/ only to peers on loopback."""

    def __init__(self, routes: Mapping[str, Route]) -> None:
        self._routes = routes
        self._server: asyncio.Server | None = None
        self.port = 0

    async def listen(self, host: str, port: int) -> None:
        """Bind; port 0 picks a free one, which is then in `port`.

        Raises DependencyError, naming port and setting, when the address cannot be had.
        """
        try:
            # Bound here and not by the loop, which would import the codec of host names first.
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            bound = socket.create_server((host, port), family=family)
        except OSError as error:
            reason = error.strerror or str(error)
            raise DependencyError(
                f"cannot serve metrics and health on {host} port {port}: {reason}. "
                "Set METRICS_PORT or --metrics-port to another port (0 picks a free one)."
            ) from error
        self._server = await asyncio.start_server(self._peer, sock=bound, limit=MAX_REQUEST_BYTES)
        self.port = bound.getsockname()[1]

    def close(self) -> None:
        """Stop listening; an answer on its way is finished while the loop runs."""
        if self._server is not None:
            self._server.close()

    async def _peer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = writer.get_extra_info("peername")[0]
        await self.answer(reader, writer, trusted=_is_loopback(peer))

    async def answer(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, trusted: bool
    ) -> None:
        """Read one request, answer it, close."""
        try:
            response = await self._respond(reader, trusted)
            async with asyncio.timeout(REQUEST_SECONDS):
                writer.write(_encode(response))
                await writer.drain()
        except (TimeoutError, ConnectionError, asyncio.IncompleteReadError):
            return  # the peer went away or said nothing in time: nobody to answer
        finally:
            writer.close()

    async def _respond(self, reader: asyncio.StreamReader, trusted: bool) -> Response:
        async with asyncio.timeout(REQUEST_SECONDS):
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except asyncio.LimitOverrunError:
                return _said(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        words = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
        if len(words) != 3:
            return _said(HTTPStatus.BAD_REQUEST)
        if words[0] != "GET":
            return _said(HTTPStatus.METHOD_NOT_ALLOWED)
        return await self._route(words[1], trusted)

    async def _route(self, target: str, trusted: bool) -> Response:
        url = urlsplit(target)
        route = self._routes.get(url.path)
        if route is None:
            return _said(HTTPStatus.NOT_FOUND, f"there are: {' '.join(sorted(self._routes))}")
        if url.path.startswith("/debug/") and not trusted:
            return _said(HTTPStatus.FORBIDDEN, "only for peers on loopback")
        try:
            return await route(dict(parse_qsl(url.query)))
        except BadQueryError as error:
            return _said(HTTPStatus.BAD_REQUEST, str(error))
        except Exception as error:  # a broken route must not end the worker
            log.error("route_failed", path=url.path, exc_info=error)
            return _said(HTTPStatus.INTERNAL_SERVER_ERROR)


def _said(status: HTTPStatus, more: str = "") -> Response:
    return Response(f"{status.value} {status.phrase}\n{more}\n".encode(), status)


def _encode(response: Response) -> bytes:
    status = response.status
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: {response.content_type}\r\n"
        f"Content-Length: {len(response.body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + response.body


def _is_loopback(address: str) -> bool:
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    return parsed.is_loopback
