"""Parser processes: page parsing that can be killed without hurting the worker."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from crawler.fetcher.sitemaps import Sitemap
from crawler.parser.port import ParsedPage, ParseRequest
from shared.contracts.domain_pack import DomainPack


class ParserLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What one page may cost."""

    cpu_seconds: float = 5.0
    memory_bytes: int = 1 << 30


class ParserProcesses:
    """Implements crawler.parser.port.PageParser over forked children."""

    def __init__(
        self, packs: Mapping[str, DomainPack], *, count: int = 2, limits: ParserLimits | None = None
    ) -> None:
        raise NotImplementedError

    async def start(self) -> None:
        """Fork the children."""
        raise NotImplementedError

    async def parse(self, request: ParseRequest) -> ParsedPage:
        """Parse one page. Raises ParseError."""
        raise NotImplementedError

    async def sitemap(self, body: bytes, content_type: str, url: str) -> Sitemap:
        """Parse one sitemap in a child. Raises ParseError."""
        raise NotImplementedError

    async def close(self) -> None:
        """End the children."""
        raise NotImplementedError
