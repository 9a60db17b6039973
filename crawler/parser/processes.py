"""Parser processes: page parsing that can be killed without hurting the worker."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Mapping
from typing import Protocol

import msgspec

from crawler.fetcher.robots import product_token
from crawler.fetcher.sitemaps import Sitemap
from crawler.parser.port import ParsedPage, ParseError, ParseRequest
from crawler.parser.wire import (
    LENGTH,
    Answered,
    Asked,
    Failed,
    PageAsked,
    PageParsed,
    ParserLimits,
    Setup,
    SitemapAsked,
    SitemapParsed,
)
from shared.contracts.domain_pack import DomainPack
from shared.supervisor.fork_server import Child

SERVE = "crawler.parser.child:serve"
MAX_RETIRED = 3
"""A child may have ended in peace just before it was asked; this often another one is asked."""


class Forks(Protocol):
    """What is needed of the fork server."""

    async def spawn(self, target: str) -> Child:
        """Fork a child that calls `target(channel)`."""
        ...


class ParserProcesses:
    """Implements crawler.parser.port.PageParser over forked children, one page a child at a time.

    A page that kills its child fails alone; a fresh child takes the next one.
    """

    def __init__(
        self,
        forks: Forks,
        packs: Mapping[str, DomainPack],
        *,
        user_agent: str,
        count: int = 2,
        limits: ParserLimits | None = None,
    ) -> None:
        self._forks = forks
        self._limits = limits or ParserLimits()
        self._setup = msgspec.msgpack.encode(Setup(packs, product_token(user_agent), self._limits))
        self._idle: asyncio.LifoQueue[_Slot] = asyncio.LifoQueue()
        self._slots = [_Slot() for _ in range(count)]
        for slot in self._slots:
            self._idle.put_nowait(slot)

    async def start(self) -> None:
        """Fork the children now, so that the first pages need not wait. Raises DependencyError."""
        for slot in self._slots:
            await self._revive(slot)

    async def parse(self, request: ParseRequest) -> ParsedPage:
        """Parse one page. Raises ParseError when it cannot be parsed within the limits."""
        answer = await self._ask(PageAsked(request))
        assert isinstance(answer, PageParsed)
        return answer.page

    async def sitemap(self, body: bytes, content_type: str, url: str) -> Sitemap:
        """Read one sitemap under the same limits. Raises ParseError."""
        answer = await self._ask(SitemapAsked(url, content_type, body))
        assert isinstance(answer, SitemapParsed)
        return answer.sitemap

    async def close(self) -> None:
        """End the parser processes."""
        ended = [slot.connection for slot in self._slots if slot.connection is not None]
        for slot in self._slots:
            slot.drop()
        for connection in ended:
            await connection.child.exited()

    async def _ask(self, asked: Asked) -> PageParsed | SitemapParsed:
        slot = await self._idle.get()
        try:
            answer = await self._answer(slot, msgspec.msgpack.encode(asked))
        except BaseException:
            slot.drop()  # an answer that is still to come must not be taken for another page's
            raise
        finally:
            self._idle.put_nowait(slot)
        if isinstance(answer, Failed):
            raise ParseError(answer.reason, answer.detail)
        return answer

    async def _answer(self, slot: _Slot, message: bytes) -> Answered:
        for _ in range(MAX_RETIRED):
            connection = await self._revive(slot)
            try:
                async with asyncio.timeout(self._limits.wall_seconds):
                    return await connection.ask(message)
            except TimeoutError:
                slot.drop()
                return Failed("parser_timeout", f"no answer after {self._limits.wall_seconds:g} s")
            except (ConnectionError, asyncio.IncompleteReadError):
                failure = await slot.failure()
                if failure is not None:
                    return failure
        return Failed("parser_crash", "parser processes end before they answer")

    async def _revive(self, slot: _Slot) -> _Connection:
        if slot.connection is None:
            child = await self._forks.spawn(SERVE)
            slot.connection = await _Connection.open(child)
            slot.connection.send(self._setup)
        return slot.connection


class _Slot:
    """Room for one child."""

    def __init__(self) -> None:
        self.connection: _Connection | None = None

    def drop(self) -> None:
        """Kill the child, if there is one."""
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    async def failure(self) -> Failed | None:
        """Say what became of a child that hung up; None when it had ended in peace."""
        assert self.connection is not None
        status = await self.connection.child.exited()
        self.drop()
        if status == 0:
            return None
        if status == -signal.SIGPROF:
            return Failed("parser_timeout", "the page used up its processor time")
        name = signal.Signals(-status).name if status < 0 else f"exit code {status}"
        return Failed("parser_crash", f"the parser process ended with {name}")


class _Connection:
    """A child, and the stream to it."""

    def __init__(
        self, child: Child, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.child = child
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, child: Child) -> _Connection:
        reader, writer = await asyncio.open_connection(sock=child.channel)
        return cls(child, reader, writer)

    def send(self, message: bytes) -> None:
        self._writer.writelines((LENGTH.pack(len(message)), message))

    async def ask(self, message: bytes) -> Answered:
        self.send(message)
        await self._writer.drain()
        (length,) = LENGTH.unpack(await self._reader.readexactly(LENGTH.size))
        return _decoder.decode(await self._reader.readexactly(length))

    def close(self) -> None:
        self._writer.close()
        self.child.kill()


_decoder: msgspec.msgpack.Decoder[Answered] = msgspec.msgpack.Decoder(
    PageParsed | SitemapParsed | Failed
)
