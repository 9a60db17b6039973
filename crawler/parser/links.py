"""The outgoing links of a page."""

from __future__ import annotations

from selectolax.lexbor import LexborHTMLParser

from crawler.parser.port import Link
from crawler.url.normalizer import absolute

MAX_LINKS = 5_000
"""More than any page made for people has; a maze's page ends here."""
MAX_HREF_CHARS = 65_536


def base_of(tree: LexborHTMLParser, url: str) -> str:
    """Return what relative links are relative to: <base href>, or the page itself."""
    node = tree.css_first("base[href]")
    href = node.attributes.get("href") if node else None
    return (absolute(url, href) if href else None) or url


def links_of(tree: LexborHTMLParser, base: str) -> list[Link]:
    """Return links in the order of the page, each once; followed anywhere counts as followed."""
    found: dict[str, bool] = {}
    for node in tree.css("a[href], area[href]"):
        attributes = node.attributes
        href = attributes.get("href")
        if not href or href[0] == "#" or len(href) > MAX_HREF_CHARS:
            continue
        url = absolute(base, href)
        if url is None:
            continue
        nofollow = "nofollow" in (attributes.get("rel") or "").lower().split()
        found[url] = found.get(url, True) and nofollow
        if len(found) >= MAX_LINKS:
            break
    return [Link(url, nofollow) for url, nofollow in found.items()]
