"""A TCP proxy with a bad day: latency, cuts, resets, silence, refused connections, lost answers."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any
from urllib.parse import urlsplit

HOST = "127.0.0.1"
CHUNK = 65536
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER on, for 0 seconds

DropAnswer = Callable[[bytes, bytes], bool]
"""Says of the last request and its answer whether the connection breaks instead of the answer."""
Feed = Callable[[bytes], Awaitable[None]]


class Proxy:
    """Stands before one server; `url` is the server's, with the proxy's port.

    Each fault lasts until it is undone, except `cut` and `reset`, which break the connections
    there are and no later ones.
    """

    def __init__(self, url: str, *, port: int = 0) -> None:
        """`port` is where to listen, for servers that have to know; any free one when left out."""
        parts = urlsplit(url)
        self._server_host, self._server_port = parts.hostname, parts.port
        self._parts = parts
        self._listener: asyncio.Server | None = None
        self._connections: dict[asyncio.Task[Any], _Connection] = {}
        self._flowing = asyncio.Event()
        self._flowing.set()
        self.port = port
        self.accepted = 0
        """Connections made through the proxy so far."""
        self.latency_seconds = 0.0
        """How much later each part of a request and of an answer arrives."""
        self.drop_answer: DropAnswer = lambda _request, _answer: False

    @property
    def url(self) -> str:
        """Where clients connect to."""
        user, at, _ = self._parts.netloc.rpartition("@")
        return self._parts._replace(netloc=f"{user}{at}{HOST}:{self.port}").geturl()

    @property
    def open_connections(self) -> int:
        """How many connections there are."""
        return len(self._connections)

    async def __aenter__(self) -> Proxy:
        await self.accept()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.refuse()
        await self.cut()

    async def accept(self) -> None:
        """Listen, on the same port as before."""
        self._listener = await asyncio.start_server(self._serve, HOST, self.port)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def refuse(self) -> None:
        """Stop listening: new connections are refused. Those there are go on."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    async def cut(self) -> None:
        """Close every connection, as a server that ends does."""
        await self._end(_Connection.close)

    async def reset(self) -> None:
        """Break every connection with a TCP reset, as a firewall or a crashed machine does."""
        await self._end(_Connection.reset)

    def stall(self) -> None:
        """Go silent: connections stay open and are accepted, and nothing passes (half-open)."""
        self._flowing.clear()

    def flow(self) -> None:
        """Let everything pass that was held back by `stall`."""
        self._flowing.set()

    def abandon(self) -> None:
        """Let what is connected be silent for ever, as when a path is gone; new ones work."""
        self._flowing.clear()
        self._flowing = asyncio.Event()
        self._flowing.set()

    async def _end(self, how: Callable[[_Connection], None]) -> None:
        ending = dict(self._connections)
        for task, connection in ending.items():
            how(connection)
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = _Connection(writer, self._flowing)
        self.accepted += 1
        # A task of its own: asyncio complains when the one it made for a connection is cancelled.
        relaying = asyncio.create_task(self._relay(connection, reader, writer))
        self._connections[relaying] = connection
        await asyncio.wait([relaying])
        connection.close()
        del self._connections[relaying]

    async def _relay(
        self,
        connection: _Connection,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        await connection.flowing.wait()
        try:
            server = await asyncio.open_connection(self._server_host, self._server_port)
        except OSError:
            return  # the server is not there: neither are we
        connection.writers.append(server[1])
        await self._forward(connection, (reader, writer), server)

    async def _forward(
        self,
        connection: _Connection,
        client: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        server: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        async def request(data: bytes) -> None:
            connection.request = data
            await _write(server[1], data)

        async def answer(data: bytes) -> None:
            if self.drop_answer(connection.request, data):
                raise ConnectionAbortedError("the answer is dropped")
            await _write(client[1], data)

        flowing = connection.flowing
        await _first_of(
            self._pump(client[0], request, flowing), self._pump(server[0], answer, flowing)
        )

    async def _pump(self, source: asyncio.StreamReader, feed: Feed, flowing: asyncio.Event) -> None:
        while data := await source.read(CHUNK):
            if self.latency_seconds:
                await asyncio.sleep(self.latency_seconds)
            await flowing.wait()
            await feed(data)


class _Connection:
    """Both sides of one connection, and what was asked on it last."""

    def __init__(self, client: asyncio.StreamWriter, flowing: asyncio.Event) -> None:
        self.writers = [client]
        self.flowing = flowing
        self.request = b""

    def close(self) -> None:
        for writer in self.writers:
            writer.close()

    def reset(self) -> None:
        for writer in self.writers:
            raw = writer.get_extra_info("socket")
            if raw.fileno() >= 0:  # else its program went by itself a moment ago
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            writer.transport.abort()


async def _write(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(data)
    await writer.drain()


async def _first_of(*both: Coroutine[Any, Any, None]) -> None:
    tasks = [asyncio.create_task(each) for each in both]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await task
