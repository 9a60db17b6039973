"""From URLs that a page or sitemap mentions to what the frontier is told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Literal

import msgspec

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


class Links(msgspec.Struct, frozen=True):
    """What a page or sitemap links to."""

    found: list[Discovered]
    """The pages in scope, each once, breadth first by priority."""
    left_out: Counter[str]
    """How many others, by reason code. They get no row: a trap's are without end."""


def pages_in_scope(urls: Iterable[str], target: Target, pack: DomainPack) -> Links:
    """Part the links in scope from the others."""
    depth = target.depth + 1
    found: dict[bytes, Discovered] = {}
    left_out: Counter[str] = Counter()
    for text in urls:
        try:
            url = normalize(text)
        except InvalidUrlError as error:
            left_out[error.reason] += 1
            continue
        decision = decide(pack, url, depth)
        if decision.allowed:
            found[url.key] = _discovered(url, target, depth=depth, priority=-depth)
        else:
            left_out[decision.reason] += 1
    found.pop(bytes.fromhex(target.url_key), None)
    return Links(list(found.values()), left_out)


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
