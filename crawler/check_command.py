"""Opens what `check` needs."""

from __future__ import annotations

from collections.abc import Sequence

from crawler.bootstrap import load_packs_of, make_fetcher, make_parser, opened
from crawler.check import Check, Step
from crawler.seeds import Seeds
from crawler.settings import CrawlerSettings
from shared.supervisor.fork_server import ForkServer


async def check(settings: CrawlerSettings, url: str, forks: ForkServer) -> Sequence[Step]:
    """Check one URL; without DATABASE_URL what is stored is not looked up."""
    packs = load_packs_of(settings)
    fetcher = make_fetcher(settings)
    parser = make_parser(settings, packs, forks)
    seeds = Seeds(packs, settings.seed_scope)
    agent = settings.user_agent
    try:
        if not settings.database_url:
            return await Check(seeds, packs, fetcher, parser, agent, None).run(url)
        async with opened(settings) as parts:
            return await Check(seeds, packs, fetcher, parser, agent, parts.frontier).run(url)
    finally:
        await parser.close()
        await fetcher.close()
