"""Keys of what is not a page: a sitemap's or robots.txt's URL may be a page's too."""

from __future__ import annotations

from hashlib import blake2b

from crawler.frontier.port import Discovered, Kind

ROBOTS_PRIORITY = 1_000
"""Before all pages: none of them may be asked for without it."""


def row_key(kind: Kind, page_key: bytes, origin: str = "") -> bytes:
    """Return the key of the row for a URL of this kind, from the key of the URL.

    Hops of a robots.txt are rows of the origin that they are about.
    """
    if kind == "page":
        return page_key
    return blake2b(f"{kind} {origin} ".encode() + page_key, digest_size=16).digest()


def robots_of(found: Discovered) -> Discovered:
    """Return the robots.txt that has to be known before this URL may be asked for."""
    url = f"{found.origin}/robots.txt"
    return Discovered(
        url_key=row_key("robots", blake2b(url.encode(), digest_size=16).digest(), found.origin),
        url=url,
        host=found.host,
        origin=found.origin,
        pack=found.pack,
        kind="robots",
        priority=ROBOTS_PRIORITY,
        found_on=found.url,
    )
