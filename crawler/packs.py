"""The domain packs of this crawler, and the one that goes with a URL."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from crawler.frontier.port import PackPolicy
from crawler.url.normalizer import NormalizedUrl
from crawler.url.scope import decide
from shared.contracts.domain_pack import DomainPack, Politeness
from shared.contracts.domain_pack_loader import default_pack, is_default_pack_name

_cached_default_pack = lru_cache(maxsize=4096)(default_pack)


class Packs:
    """Packs by name; those of single seeds are made when they are needed."""

    def __init__(self, by_name: Mapping[str, DomainPack]) -> None:
        self.by_name = by_name

    def named(self, name: str, url: str) -> DomainPack | None:
        """Return the pack of a row for `url`; None when its file is no longer there."""
        if is_default_pack_name(name):
            return _cached_default_pack(url)
        return self.by_name.get(name)

    def covering(self, url: NormalizedUrl) -> DomainPack | None:
        """Return the first pack, by name, that covers the URL's host."""
        for name in sorted(self.by_name):
            if covers(self.by_name[name], url):
                return self.by_name[name]
        return None

    def policies(self) -> dict[str, PackPolicy]:
        """Return what the frontier enforces."""
        return {
            name: PackPolicy(
                delay_seconds=pack.politeness.delay_seconds, max_pages=pack.scope.max_pages
            )
            for name, pack in self.by_name.items()
        }

    def longest_timeout(self) -> float:
        """Return how long a request may take at most, in seconds.

        The packs of single seeds, and a robots.txt, take no longer than the default.
        """
        timeouts = (pack.politeness.timeout_seconds for pack in self.by_name.values())
        return max([DEFAULT_TIMEOUT_SECONDS, *timeouts])


DEFAULT_TIMEOUT_SECONDS = Politeness().timeout_seconds


def covers(pack: DomainPack, url: NormalizedUrl) -> bool:
    """Tell whether a URL's host is one of the pack's, whatever its rules say of the path."""
    return decide(pack, url, 0).reason != "host_not_in_scope"
