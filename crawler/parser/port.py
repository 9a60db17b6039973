"""The page parser port: from bytes to a document and links, in a process that can be killed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from shared.errors import PermanentError


class ParseError(PermanentError):
    """The page cannot be parsed: it killed its process, or took too long or too much memory."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        """Reason code: `parser_timeout`, `parser_memory`, `parser_crash`, `not_html`,
        `unknown_pack`."""
        self.detail = detail


class ParseRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A fetched page, and the domain pack whose rules apply."""

    url: str
    body: bytes
    content_type: str = ""
    """The Content-Type header, for its charset."""
    x_robots_tag: str = ""
    pack: str
    """Name of a domain pack the parser was started with."""


class Link(msgspec.Struct, frozen=True, gc=False):
    """An outgoing link: absolute, http or https, not yet normalised."""

    url: str
    nofollow: bool = False


class ParsedPage(msgspec.Struct, frozen=True, kw_only=True):
    """What a page says about itself."""

    title: str = ""
    description: str = ""
    language: str = ""
    text: str = ""
    """Main text, without navigation."""
    charset: str = ""
    canonical: str = ""
    """Absolute http(s) URL of rel=canonical; empty when missing or not http(s)."""
    ignored_canonical: str = ""
    """A canonical that is not http(s), kept to explain."""
    noindex: bool = False
    nofollow: bool = False
    links: Sequence[Link] = ()
    fields: Mapping[str, Any] = {}
    missing_fields: Sequence[str] = ()
    """Required fields of the pack that no rule found."""
    body: bytes = b"{}"
    """The document: JSON text, clean for Postgres and the index."""
    content_hash: bytes = b""
    """16 bytes over the document; the same page without a change has the same hash."""


class PageParser(Protocol):
    """Parses pages under limits of time and memory."""

    async def parse(self, request: ParseRequest) -> ParsedPage:
        """Parse one page. Raises ParseError when the page cannot be parsed within the limits."""
        ...

    async def close(self) -> None:
        """End the parser processes."""
        ...
