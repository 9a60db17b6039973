"""What a worker and its parser processes say to each other, over a Unix stream socket.

Every message is msgpack behind its length in four bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

import msgspec

from crawler.fetcher.sitemaps import Sitemap
from crawler.parser.port import ParsedPage, ParseRequest
from shared.contracts.domain_pack import DomainPack

LENGTH = struct.Struct(">I")


class ParserLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What one page may cost."""

    cpu_seconds: float = 5.0
    """Processor time, so that a busy machine kills no innocent page."""
    memory_bytes: int = 512 << 20
    """Address space beyond what the process starts with."""
    retire_bytes: int = 256 << 20
    """A process that has grown by more than this ends after its answer; a fresh one follows."""
    wall_seconds: float = 30.0
    """For a parser that hangs without using the processor."""


class Setup(msgspec.Struct, frozen=True, tag="setup"):
    """The first message to a child."""

    packs: Mapping[str, DomainPack]
    agent: str
    limits: ParserLimits


class PageAsked(msgspec.Struct, frozen=True, tag="page"):
    """Parse a page."""

    page: ParseRequest


class SitemapAsked(msgspec.Struct, frozen=True, tag="sitemap"):
    """Parse a sitemap."""

    url: str
    content_type: str
    body: bytes


class PageParsed(msgspec.Struct, frozen=True, tag="page"):
    """The page, parsed."""

    page: ParsedPage


class SitemapParsed(msgspec.Struct, frozen=True, tag="sitemap"):
    """The sitemap, parsed."""

    sitemap: Sitemap


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """The child lives, and could not do it. `reason` is a reason code."""

    reason: str
    detail: str


Asked = PageAsked | SitemapAsked
Answered = PageParsed | SitemapParsed | Failed
