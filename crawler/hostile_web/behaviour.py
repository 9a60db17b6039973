"""One way to misbehave, and what a crawler should make of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec


class Exchange:
    """One request, and the raw connection to answer it on as badly as one likes."""

    def __init__(self, path: str, origin: str, writer: asyncio.StreamWriter) -> None:
        self.path = path
        """Path and query as they were asked for."""
        self.origin = origin
        """This server's own origin."""
        self._writer = writer

    async def send(self, data: bytes) -> None:
        """Write raw bytes; waits while the other side does not read."""
        self._writer.write(data)
        await self._writer.drain()

    async def head(self, *headers: str, status: str = "200 OK") -> None:
        """Write a status line and headers as given, and the empty line after them."""
        lines = [f"HTTP/1.1 {status}", "Connection: close", *headers, "", ""]
        await self.send("\r\n".join(lines).encode("utf-8", "surrogateescape"))

    async def answer(
        self, body: bytes, *headers: str, status: str = "200 OK", content_type: str = "text/html"
    ) -> None:
        """Write a whole and honest answer."""
        await self.head(
            f"Content-Type: {content_type}",
            f"Content-Length: {len(body)}",
            *headers,
            status=status,
        )
        await self.send(body)


Act = Callable[[Exchange], Awaitable[None]]


class Behaviour(msgspec.Struct, frozen=True):
    """A way to misbehave."""

    name: str
    """Also its path on the server."""
    does: str
    """In words."""
    expected: tuple[str, ...]
    """What may come out: `ok`, `redirect`, or reason codes of a page that was given up."""
    act: Act


class Behaviours:
    """A collection of behaviours, filled by decorating functions."""

    def __init__(self) -> None:
        self.all: dict[str, Behaviour] = {}

    def add(self, *expected: str) -> Callable[[Act], Act]:
        """Register a function under its name; its docstring says what it does."""

        def register(act: Act) -> Act:
            name = act.__name__
            does = " ".join((act.__doc__ or "").split())
            self.all[name] = Behaviour(name, does, expected, act)
            return act

        return register
