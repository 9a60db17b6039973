"""From URLs that a page or sitemap mentions to what the frontier is told."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from crawler.frontier.keys import row_key
from crawler.frontier.port import Discovered, Target
from crawler.packs import covers
from crawler.url.normalizer import InvalidUrlError, NormalizedUrl, normalize
from crawler.url.scope import decide
from shared.contracts.domain_pack import DomainPack


def normalized(url: str) -> NormalizedUrl | None:
    """Return the URL's one form, None when it cannot be crawled."""
    try:
        return normalize(url)
    except InvalidUrlError:
        return None


def pages_in_scope(urls: Iterable[str], target: Target, pack: DomainPack) -> list[Discovered]:
    """Return the pages among links that are in scope, each once, breadth first by priority."""
    depth = target.depth + 1
    found: dict[bytes, Discovered] = {}
    for text in urls:
        url = normalized(text)
        if url is not None and url.key not in found and decide(pack, url, depth).allowed:
            found[url.key] = _discovered(url, target, depth=depth, priority=-depth)
    found.pop(bytes.fromhex(target.url_key), None)
    return list(found.values())


def same_place(url: NormalizedUrl, target: Target, *, hops: int = 0) -> Discovered:
    """Return a page that stands for the target: its canonical form, or where it redirects to."""
    return _discovered(url, target, depth=target.depth, priority=-target.depth, hops=hops)


def sitemaps_in_scope(
    urls: Iterable[str], target: Target, pack: DomainPack, *, depth: int, hops: int = 0
) -> list[Discovered]:
    """Return the sitemaps on the pack's own hosts; its rules for paths are not about them."""
    found = {}
    for text in urls:
        url = normalized(text)
        if url is not None and covers(pack, url):
            found[url.key] = _discovered(
                url, target, kind="sitemap", depth=depth, priority=SITEMAP_PRIORITY, hops=hops
            )
    return list(found.values())


SITEMAP_PRIORITY = 50


def _discovered(
    url: NormalizedUrl,
    target: Target,
    *,
    depth: int,
    priority: int,
    hops: int = 0,
    kind: Literal["page", "sitemap"] = "page",
) -> Discovered:
    return Discovered(
        url_key=row_key(kind, url.key),
        url=url.url,
        host=url.host,
        origin=url.origin,
        pack=target.pack,
        kind=kind,
        depth=depth,
        hops=hops,
        priority=priority,
        found_on=target.url,
    )
