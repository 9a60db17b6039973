"""A parser process: parses page after page, and may be killed by any of them."""

from __future__ import annotations

import faulthandler
import resource
import signal
import socket
from pathlib import Path
from typing import TypeVar

import msgspec

from crawler.fetcher.sitemaps import parse_sitemap
from crawler.parser.page_parser import HtmlPageParser
from crawler.parser.port import ParseError
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
from shared.contracts.domain_pack import DomainPack, Scope
from shared.contracts.domain_pack_loader import is_default_pack_name

T = TypeVar("T")

_ANY_PACK = DomainPack(name="any", scope=Scope(hosts=["any"]))
"""The rules of all default packs: no fields, and the main text is looked for."""


def serve(channel: socket.socket) -> None:
    """Answer until the owner closes the channel, or this process has grown too large."""
    faulthandler.disable()  # a crash is an answer here, and no reason to fill the log
    setup = _receive(channel, msgspec.msgpack.Decoder(Setup))
    if setup is None:
        return
    parsers = _Parsers(setup)
    decoder: msgspec.msgpack.Decoder[Asked] = msgspec.msgpack.Decoder(PageAsked | SitemapAsked)
    first_size = _size()
    _limit_memory(first_size + setup.limits.memory_bytes)
    while (asked := _receive(channel, decoder)) is not None:
        _start_cpu_clock(setup.limits)
        answer = _answer(parsers, asked)
        signal.setitimer(signal.ITIMER_PROF, 0)
        _send(channel, answer)
        if _size() > first_size + setup.limits.retire_bytes:
            return


class _Parsers:
    """One page parser for each pack."""

    def __init__(self, setup: Setup) -> None:
        self._agent = setup.agent
        self._parsers = {name: self._make(pack) for name, pack in setup.packs.items()}

    def for_pack(self, name: str) -> HtmlPageParser:
        parser = self._parsers.get(name)
        if parser is None:
            if not is_default_pack_name(name):
                raise ParseError("unknown_pack", f"no domain pack is called {name!r}")
            parser = self._parsers[name] = self._make(_ANY_PACK)
        return parser

    def _make(self, pack: DomainPack) -> HtmlPageParser:
        return HtmlPageParser(pack, self._agent)


def _answer(parsers: _Parsers, asked: Asked) -> Answered:
    try:
        if isinstance(asked, PageAsked):
            return PageParsed(parsers.for_pack(asked.page.pack).parse(asked.page))
        return SitemapParsed(parse_sitemap(asked.body, asked.content_type, asked.url))
    except ParseError as error:
        return Failed(error.reason, error.detail)
    except MemoryError:
        return Failed("parser_memory", "the page needs more memory than is allowed")
    except Exception as error:  # noqa: BLE001 - whatever a hostile page makes a parser raise
        return Failed("parser_crash", f"{type(error).__name__}: {error}"[:500])


def _start_cpu_clock(limits: ParserLimits) -> None:
    """Let the kernel end this process when the page has used up its processor time.

    The default action of SIGPROF needs no Python code to run, so it also ends a loop in C.
    """
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_PROF, limits.cpu_seconds)


def _limit_memory(size: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard != resource.RLIM_INFINITY:
        size = min(size, hard)
    resource.setrlimit(resource.RLIMIT_AS, (size, hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _size() -> int:
    """Return the address space of this process in bytes."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    return pages * resource.getpagesize()


def _receive(channel: socket.socket, decoder: msgspec.msgpack.Decoder[T]) -> T | None:
    """Return the next message; None when the owner has closed the channel."""
    head = _exactly(channel, LENGTH.size)
    body = _exactly(channel, LENGTH.unpack(head)[0]) if head else None
    return decoder.decode(body) if body else None


def _exactly(channel: socket.socket, size: int) -> bytes | None:
    data = bytearray(size)
    view, got = memoryview(data), 0
    while got < size:
        count = channel.recv_into(view[got:])
        if count == 0:
            return None
        got += count
    return bytes(data)


def _send(channel: socket.socket, answer: Answered) -> None:
    body = msgspec.msgpack.encode(answer)
    channel.sendall(LENGTH.pack(len(body)) + body)
