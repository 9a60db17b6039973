"""A web server on loopback that misbehaves on request: the path says how.

It speaks raw bytes over asyncio, for no HTTP library lets one be this rude.
"""

from __future__ import annotations

import asyncio
from html import escape
from types import TracebackType

from crawler.hostile_web.behaviour import Behaviour, Exchange
from crawler.hostile_web.codings import codings
from crawler.hostile_web.pages import pages
from crawler.hostile_web.redirects import redirects
from crawler.hostile_web.transport import transport
from crawler.hostile_web.well_known import well_known

BEHAVIOURS: dict[str, Behaviour] = {
    **transport.all,
    **codings.all,
    **redirects.all,
    **pages.all,
    **well_known.all,
}


class HostileWeb:
    """The server; use it as an asynchronous context manager."""

    def __init__(self, port: int = 0, host: str = "127.0.0.1") -> None:
        """Port 0 picks a free one."""
        self._host = host
        self._port = port
        self._server: asyncio.Server | None = None
        self._conversations: set[asyncio.Task[None]] = set()
        self.asked: list[str] = []
        """Paths asked for, in order."""

    @property
    def origin(self) -> str:
        """Where it listens, as http://127.0.0.1:8080."""
        return f"http://{self._host}:{self._port}"

    async def __aenter__(self) -> HostileWeb:
        self._server = await asyncio.start_server(self._converse, self._host, self._port)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        for conversation in tuple(self._conversations):
            conversation.cancel()
        await asyncio.gather(*self._conversations, return_exceptions=True)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._conversations.add(task)
        try:
            path = await _path(reader)
            self.asked.append(path)
            await self._act(Exchange(path, self.origin, writer))
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            return  # the other side has had enough: that is what we are here for
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            self._conversations.discard(task)
            writer.close()

    async def _act(self, exchange: Exchange) -> None:
        name = exchange.path.strip("/").partition("?")[0].partition("/")[0]
        if name in BEHAVIOURS:
            await BEHAVIOURS[name].act(exchange)
        elif not name:
            await exchange.answer(_index().encode())
        else:
            await exchange.answer(b"<p>No such behaviour.</p>", status="404 Not Found")


async def _path(reader: asyncio.StreamReader) -> str:
    request = await reader.readuntil(b"\r\n\r\n")
    return request.split(b" ", 2)[1].decode("ascii", "replace")


def _index() -> str:
    rows = "".join(
        f"<li><a href='/{name}'>{name}</a>: {escape(behaviour.does)} "
        f"Expected: {', '.join(behaviour.expected)}.</li>"
        for name, behaviour in BEHAVIOURS.items()
    )
    return f"<title>Hostile web</title><h1>Ways to misbehave</h1><ul>{rows}</ul>"
