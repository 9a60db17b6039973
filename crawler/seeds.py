"""Seeds: URLs that people give, on the command line or in Redis."""

from __future__ import annotations

from typing import Literal

import msgspec

from crawler.frontier.keys import row_key
from crawler.frontier.port import Discovered, Frontier
from crawler.packs import Packs
from crawler.reasons import Reason
from crawler.url.normalizer import InvalidUrlError, normalize
from crawler.url.scope import decide
from shared.contracts.domain_pack import DomainPack
from shared.contracts.domain_pack_loader import default_pack
from shared.errors import PermanentError
from shared.jobs import Job
from shared.pool.processor import Execution
from shared.pool.retry_policy import RetryPolicy
from shared.verdicts import Done, Verdict

SEED = "seed"
SEED_PRIORITY = 100
SITEMAP_PRIORITY = 90
SeedScope = Literal["pack", "host"]


class SeedRefusedError(PermanentError):
    """The URL cannot be a seed."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        """Reason code."""


class SeedJob(msgspec.Struct, frozen=True):
    """Payload of a seed in the inbox."""

    url: str


def decode_seed(raw: bytes) -> Job:
    """Read a message that is nothing but a URL. Raises ValueError when it is not text."""
    url = raw.decode("utf-8").strip()
    if not url:
        raise ValueError("an empty message is no URL")
    return Job(type=SEED, payload=msgspec.json.encode(SeedJob(url)))


class Seeds:
    """Decides which pack a seed belongs to."""

    def __init__(self, packs: Packs, scope: SeedScope) -> None:
        """`scope`: `host` gives a seed that no pack covers a pack of its own host."""
        self._packs = packs
        self._scope = scope

    def page(self, text: str) -> Discovered:
        """Return a page to begin with. Raises SeedRefusedError."""
        return self._discovered(text, "page", SEED_PRIORITY)

    def sitemap(self, text: str) -> Discovered:
        """Return a sitemap to read. Raises SeedRefusedError."""
        return self._discovered(text, "sitemap", SITEMAP_PRIORITY)

    def of_pack(self, pack: DomainPack) -> list[Discovered]:
        """Return the seeds and sitemaps that a pack names. Raises SeedRefusedError."""
        return [
            *(self.page(url) for url in pack.seeds),
            *(self.sitemap(url) for url in pack.sitemaps),
        ]

    def _discovered(self, text: str, kind: Literal["page", "sitemap"], priority: int) -> Discovered:
        try:
            url = normalize(text)
        except InvalidUrlError as error:
            raise SeedRefusedError(error.reason, f"{text[:200]!r} is not a URL to crawl") from error
        pack = self._packs.covering(url) or self._own_pack(url.url)
        decision = decide(pack, url, 0)
        if kind == "page" and not decision.allowed:
            where = f"{url.url} is outside of pack {pack.name}"
            raise SeedRefusedError(
                decision.reason, f"{where}: {decision.rule or 'no rule allows it'}"
            )
        return Discovered(
            url_key=row_key(kind, url.key),
            url=url.url,
            host=url.host,
            origin=url.origin,
            pack=pack.name,
            kind=kind,
            priority=priority,
            found_on="seed",
        )

    def _own_pack(self, url: str) -> DomainPack:
        if self._scope == "host":
            return default_pack(url)
        raise SeedRefusedError(
            Reason.NO_PACK.value,
            f"no domain pack covers {url}; write one, or set SEED_SCOPE=host to crawl its host",
        )


class SeedProcessor:
    """Takes seeds from the inbox to the frontier; what is refused becomes a dead letter."""

    job_type = SEED
    payload_type = SeedJob
    timeout_seconds = 30.0
    retry = RetryPolicy()

    def __init__(self, seeds: Seeds, frontier: Frontier) -> None:
        self._seeds = seeds
        self._frontier = frontier

    async def process(self, execution: Execution[SeedJob]) -> Verdict:
        """Discover the seed. Raises SeedRefusedError, which is permanent."""
        seed = self._seeds.page(execution.payload.url)
        if not await self._frontier.discover([seed]):
            await refuse_unkept(self._frontier, seed)
        return Done()


async def refuse_unkept(frontier: Frontier, seed: Discovered) -> None:
    """Raise SeedRefusedError when a seed was discovered but its pack has no room for it."""
    if await frontier.page(seed.url_key) is None:
        where = f"{seed.url}: pack {seed.pack} knows as many pages as its scope.max_pages allows"
        raise SeedRefusedError(Reason.TOO_MANY_PAGES.value, where)
