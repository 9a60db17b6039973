"""A robots.txt and sitemaps that are traps."""

from __future__ import annotations

import gzip
from functools import cache

from crawler.hostile_web.behaviour import Behaviours, Exchange

well_known = Behaviours()


@cache
def _sitemap_bomb() -> bytes:
    return gzip.compress(b"<urlset>" + b" " * (64 << 20) + b"</urlset>")


@well_known.add("ok")
async def huge_robots(exchange: Exchange) -> None:
    """Eight megabytes of rules; the one that counts is at the front."""
    body = b"User-agent: *\nDisallow: /front\n" + b"# padding\n" * 800_000 + b"Disallow: /back\n"
    await exchange.answer(body, content_type="text/plain")


@well_known.add("sitemap_too_large")
async def sitemap_bomb(exchange: Exchange) -> None:
    """A gzipped sitemap that grows beyond the limit of the standard."""
    await exchange.answer(_sitemap_bomb(), content_type="application/gzip")


@well_known.add("sitemap_has_entities")
async def sitemap_of_entities(exchange: Exchange) -> None:
    """A billion laughs, and a file of the crawler's machine."""
    entities = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    doctype = f'<!DOCTYPE u [<!ENTITY l0 "ha"><!ENTITY f SYSTEM "file:///etc/passwd">{entities}]>'
    body = f"{doctype}<urlset><url><loc>/&l9;&f;</loc></url></urlset>"
    await exchange.answer(body.encode(), content_type="application/xml")


@well_known.add("ok")
async def sitemap_of_itself(exchange: Exchange) -> None:
    """An index that lists itself, and a new index each time."""
    number = int(exchange.path.rpartition("=")[2]) if "=" in exchange.path else 0
    child = f"{exchange.origin}/sitemap_of_itself?n={number + 1}"
    locations = f"<loc>{exchange.origin}{exchange.path}</loc></sitemap><sitemap><loc>{child}</loc>"
    body = f"<sitemapindex><sitemap>{locations}</sitemap></sitemapindex>"
    await exchange.answer(body.encode(), content_type="application/xml")
