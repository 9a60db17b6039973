"""From a page's bytes to its document and links. Runs inside a parser process."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

import orjson
from selectolax.lexbor import LexborHTMLParser

from crawler.parser.charset import decode
from crawler.parser.clean_text import clean
from crawler.parser.fields import FieldFinder, need_text
from crawler.parser.links import base_of, links_of
from crawler.parser.main_text import main_text
from crawler.parser.metadata import Metas, canonical_of, language_of, robots_directives, title_of
from crawler.parser.port import ParsedPage, ParseError, ParseRequest
from shared.contracts.domain_pack import DomainPack

HASH_BYTES = 16
MAX_TITLE_CHARS = 2_000
MAX_DESCRIPTION_CHARS = 10_000
_HTML_TYPES = frozenset({"text/html", "application/xhtml+xml"})
_SNIFF_BYTES = 1024


class HtmlPageParser:
    """Parses pages by the rules of one domain pack."""

    def __init__(self, pack: DomainPack, agent: str) -> None:
        """`agent` is the product token by which pages address this crawler."""
        self._pack = pack
        self._agent = agent
        self._text_first = need_text(pack.fields)

    def parse(self, request: ParseRequest) -> ParsedPage:
        """Parse one page. Raises ParseError `not_html` for anything but HTML."""
        _refuse_other_than_html(request)
        html, charset = decode(request.body, request.content_type)
        tree = LexborHTMLParser(html)
        metas = Metas(tree)
        base = base_of(tree, request.url)
        canonical = canonical_of(tree, base)
        robots = robots_directives(metas, request.x_robots_tag, self._agent)
        known: dict[str, Any] = {
            "title": title_of(tree, metas)[:MAX_TITLE_CHARS],
            "description": metas.first("description", "og:description")[:MAX_DESCRIPTION_CHARS],
            "language": language_of(tree),
        }
        links = links_of(tree, base)
        known["fields"], known["text"] = self._fields_and_text(tree, metas, html)
        known = clean(known)
        body = _document(request.url, known)
        return ParsedPage(
            **known,
            charset=charset,
            canonical=canonical.url,
            ignored_canonical=clean(canonical.ignored),
            noindex="noindex" in robots,
            nofollow="nofollow" in robots,
            links=links,
            missing_fields=self._missing(known["fields"]),
            body=body,
            content_hash=blake2b(body, digest_size=HASH_BYTES).digest(),
        )

    def _fields_and_text(
        self, tree: LexborHTMLParser, metas: Metas, html: str
    ) -> tuple[dict[str, Any], str]:
        """Finding the main text takes the tree apart, so it comes last, or gets its own tree."""
        fields, selector = self._pack.fields, self._pack.main_text
        if self._text_first:
            text = main_text(LexborHTMLParser(html), selector)
            return FieldFinder(tree, metas, text).find(fields), text
        return FieldFinder(tree, metas, "").find(fields), main_text(tree, selector)

    def _missing(self, found: Mapping[str, Any]) -> list[str]:
        return [
            name
            for name, field in self._pack.fields.items()
            if field.required and name not in found
        ]


def _document(url: str, known: Mapping[str, Any]) -> bytes:
    return orjson.dumps({"url": url, **known}, option=orjson.OPT_SORT_KEYS)


def _refuse_other_than_html(request: ParseRequest) -> None:
    media_type = request.content_type.partition(";")[0].strip().lower()
    if media_type in _HTML_TYPES:
        return
    if media_type:
        raise ParseError("not_html", f"the content type is {media_type[:100]}")
    head = request.body[:_SNIFF_BYTES]
    if b"<" not in head or (b"\0" in head and not head.startswith((b"\xfe\xff", b"\xff\xfe"))):
        raise ParseError("not_html", "there is no content type, and it does not look like HTML")
