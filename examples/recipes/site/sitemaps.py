"""robots.txt and the sitemaps: a gzipped index, one gzipped sitemap and one plain."""

from __future__ import annotations

import datetime as dt
import gzip
from collections.abc import Iterable, Mapping
from html import escape

from .recipes import Recipe

NAMESPACE = "http://www.sitemaps.org/schemas/sitemap/0.9"


def robots(origin: str) -> str:
    """The rules of the house."""
    return (
        "User-agent: *\nDisallow: /shopping-list/\nDisallow: /search\n\n"
        f"Sitemap: {origin}/sitemap_index.xml.gz\n"
    )


def index(origin: str) -> bytes:
    """Name the two sitemaps, gzipped."""
    names = ("sitemap-recipes.xml.gz", "sitemap-pages.xml")
    entries = "".join(f"<sitemap><loc>{escape(origin)}/{name}</loc></sitemap>" for name in names)
    return _gzip(f'<sitemapindex xmlns="{NAMESPACE}">{entries}</sitemapindex>')


def recipes(origin: str, known: Mapping[str, Recipe]) -> bytes:
    """List all recipes, also those that no page links to, gzipped."""
    urls = "".join(
        f"<url><loc>{escape(origin)}/recipes/{recipe.slug}</loc>"
        f"<lastmod>{_day(recipe.modified)}</lastmod></url>"
        for recipe in known.values()
    )
    return _gzip(f'<urlset xmlns="{NAMESPACE}">{urls}</urlset>')


def pages(origin: str, paths: Iterable[str]) -> str:
    """List the other pages, as plain XML."""
    urls = "".join(f"<url><loc>{escape(origin)}{path}</loc></url>" for path in paths)
    return f'{_HEAD}<urlset xmlns="{NAMESPACE}">{urls}</urlset>'


_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'


def _gzip(xml: str) -> bytes:
    return gzip.compress((_HEAD + xml).encode(), mtime=0)


def _day(seconds: float) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).date().isoformat()
