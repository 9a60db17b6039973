"""Sitemaps: urlset, sitemapindex and plain text; gzipped or not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from xml.parsers import expat

import msgspec

from crawler.fetcher.decoding import DecodingError, gunzip_pieces
from crawler.url.normalizer import absolute

_GZIP_MAGIC = b"\x1f\x8b"
_BOM = b"\xef\xbb\xbf"
_PIECE_BYTES = 64 * 1024
_MAX_TEXT_CHARS = 8_192
_MAX_NESTING = 32


class SitemapLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How much of one sitemap is read; the first two are those of sitemaps.org."""

    max_bytes: int = 50 * 1024 * 1024
    """Decompressed."""
    max_urls: int = 50_000
    max_children: int = 50_000


MAX_DEPTH = 3
"""How deep indexes may nest; for whoever follows their children."""


class SitemapUrl(msgspec.Struct, frozen=True, gc=False):
    """One page that a sitemap lists."""

    url: str
    """Absolute, http or https, not yet normalised."""
    last_modified: float | None = None
    """Seconds since the epoch; None when missing or unreadable. Often wrong: a hint."""


class Sitemap(msgspec.Struct, frozen=True, kw_only=True):
    """What a sitemap lists."""

    urls: Sequence[SitemapUrl] = ()
    children: Sequence[str] = ()
    """Further sitemaps, of an index."""
    fault: str = ""
    """Why it was not read to its end; what came before counts. Reason code:
    `sitemap_too_large`, `sitemap_too_many_urls`, `sitemap_not_xml`, `sitemap_has_entities`,
    `sitemap_bad_gzip`."""


class _StopError(Exception):
    """Reading ends here, for this reason."""


def parse_sitemap(
    body: bytes, content_type: str, url: str, limits: SitemapLimits | None = None
) -> Sitemap:
    """Read a sitemap that was fetched from `url`. Never raises: what is wrong is in `fault`."""
    collected = _Collected(url, limits or SitemapLimits())
    fault = ""
    try:
        _read(_pieces(body, collected.limits.max_bytes), content_type, collected)
    except _StopError as stop:
        fault = str(stop)
    except expat.ExpatError:
        fault = "sitemap_not_xml"
    except DecodingError:
        fault = "sitemap_bad_gzip"
    return Sitemap(urls=collected.urls, children=collected.children, fault=fault)


def _pieces(body: bytes, max_bytes: int) -> Iterator[bytes]:
    """Yield the decompressed body, and stop at its limit."""
    if body.startswith(_GZIP_MAGIC):
        pieces = gunzip_pieces(body)
    else:
        pieces = (body[at : at + _PIECE_BYTES] for at in range(0, len(body), _PIECE_BYTES))
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > max_bytes:
            raise _StopError("sitemap_too_large")
        yield piece


def _read(pieces: Iterator[bytes], content_type: str, collected: _Collected) -> None:
    first = next(pieces, b"")
    begins = first.removeprefix(_BOM).lstrip()[:1]
    looks_utf16 = first[:2] in (b"\xff\xfe", b"\xfe\xff")
    if begins == b"<" or looks_utf16:
        _read_xml(first, pieces, collected)
    elif "xml" in content_type.lower():
        raise _StopError("sitemap_not_xml")
    else:
        _read_text(first, pieces, collected)


def _read_text(first: bytes, pieces: Iterator[bytes], collected: _Collected) -> None:
    rest = first.removeprefix(_BOM)
    for piece in pieces:
        *complete, rest = (rest + piece).split(b"\n")
        for line in complete:
            collected.add_page(line.decode("utf-8", "replace").strip(), "")
        rest = rest[:_MAX_TEXT_CHARS]
    for line in rest.split(b"\n"):
        collected.add_page(line.decode("utf-8", "replace").strip(), "")


def _read_xml(first: bytes, pieces: Iterator[bytes], collected: _Collected) -> None:
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    reader = _Elements(collected)
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    # No sitemap declares entities; those that do mean harm.
    parser.EntityDeclHandler = reader.refuse_entities
    parser.Parse(first, False)
    for piece in pieces:
        parser.Parse(piece, False)
    parser.Parse(b"", True)


class _Elements:
    """Picks <loc> and <lastmod> out of <url> and <sitemap>, whatever their namespace."""

    def __init__(self, collected: _Collected) -> None:
        self._collected = collected
        self._path: list[str] = []
        self._entry = {"loc": "", "lastmod": ""}

    def start(self, name: str, _attributes: object) -> None:
        if len(self._path) >= _MAX_NESTING:
            raise _StopError("sitemap_not_xml")
        self._path.append(name.rpartition(" ")[2].lower())
        if self._path[-1] in ("url", "sitemap"):
            # Fresh for each entry: the last one's date must not leak into the next.
            self._entry = {"loc": "", "lastmod": ""}

    def text(self, data: str) -> None:
        # The parent counts: an <image:loc> is not the page's own.
        if self._path[-2:-1] in (["url"], ["sitemap"]) and self._path[-1] in self._entry:
            kept = self._entry[self._path[-1]] + data
            self._entry[self._path[-1]] = kept[:_MAX_TEXT_CHARS]

    def end(self, _name: str) -> None:
        ended = self._path.pop()
        if ended == "url":
            self._collected.add_page(self._entry["loc"].strip(), self._entry["lastmod"].strip())
        elif ended == "sitemap":
            self._collected.add_child(self._entry["loc"].strip())

    def refuse_entities(self, *_declaration: object) -> None:
        raise _StopError("sitemap_has_entities")


class _Collected:
    """What was found so far; stops the reading when that is enough."""

    def __init__(self, url: str, limits: SitemapLimits) -> None:
        self.limits = limits
        self.urls: list[SitemapUrl] = []
        self.children: list[str] = []
        self._base = url

    def add_page(self, location: str, last_modified: str) -> None:
        url = absolute(self._base, location) if location else None
        if url is None:
            return
        if len(self.urls) >= self.limits.max_urls:
            raise _StopError("sitemap_too_many_urls")
        self.urls.append(SitemapUrl(url, _seconds(last_modified)))

    def add_child(self, location: str) -> None:
        url = absolute(self._base, location) if location else None
        if url is None or url == self._base:
            return
        if len(self.children) >= self.limits.max_children:
            raise _StopError("sitemap_too_many_urls")
        self.children.append(url)


def _seconds(text: str) -> float | None:
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
