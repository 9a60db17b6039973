"""Sitemaps: urlset, index, text and RSS-free; gzip or not."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec


class SitemapLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How far to follow a sitemap."""

    max_bytes: int = 50 * 1024 * 1024
    max_urls: int = 50_000
    max_children: int = 50_000
    max_depth: int = 3
    """Nesting of indexes; for the caller."""


class SitemapUrl(msgspec.Struct, frozen=True, gc=False):
    """One entry."""

    url: str
    last_modified: float | None = None
    """Seconds since the epoch; None when missing or unreadable."""


class Sitemap(msgspec.Struct, frozen=True, kw_only=True):
    """What a sitemap lists."""

    urls: Sequence[SitemapUrl] = ()
    children: Sequence[str] = ()
    fault: str = ""
    """Reason code when it was not read to its end: `sitemap_too_large`, `sitemap_not_xml` ...;
    what was read before counts."""


def parse_sitemap(
    body: bytes, content_type: str, url: str, limits: SitemapLimits | None = None
) -> Sitemap:
    """Read a sitemap. Never raises: what is wrong is in `fault`. URLs are absolute http(s)."""
    raise NotImplementedError
