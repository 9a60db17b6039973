"""A whole crawler inside the test: real fetcher, real parser processes, chosen stores."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from crawler.bootstrap import make_fetcher, make_parser, pools_of
from crawler.frontier.factory import open_frontier
from crawler.frontier.port import Frontier, FrontierSettings, PageRecord
from crawler.metrics import CrawlerMetrics
from crawler.packs import Packs
from crawler.seeds import Seeds
from crawler.settings import CrawlerSettings
from crawler.url.normalizer import normalize
from shared.contracts.domain_pack import DomainPack, Politeness, Recrawl, Scope
from shared.documents.factory import open_documents
from shared.documents.port import DOCUMENTS_SOURCE, DocumentStore
from shared.observability.metrics import MetricsTable
from shared.postgres.database import PostgresDatabase
from shared.postgres.memory import MemoryDatabase
from shared.supervisor.fork_server import ForkServer

PACK = DomainPack(
    name="site",
    scope=Scope(hosts=["127.0.0.1"], deny=["^/private"], max_depth=8),
    politeness=Politeness(delay_seconds=0.02, max_crawl_delay_seconds=0.3, timeout_seconds=5.0),
    recrawl=Recrawl(gone_strikes=2, strike_interval_seconds=0.0),
)
PATIENCE_SECONDS = 30.0


class Crawl:
    """A running crawler."""

    def __init__(
        self,
        frontier: Frontier,
        documents: DocumentStore,
        seeds: Seeds,
        metrics: CrawlerMetrics,
        table: MetricsTable,
    ) -> None:
        self.frontier = frontier
        self.store = documents
        self.metrics = metrics
        self._table = table
        self._seeds = seeds

    async def seed(self, url: str) -> None:
        """Add a seed and wait until nothing is left to do."""
        await self.frontier.discover([self._seeds.page(url)])
        await self.settled()

    async def seed_sitemap(self, url: str) -> None:
        """Add a sitemap and wait until nothing is left to do."""
        await self.frontier.discover([self._seeds.sitemap(url)])
        await self.settled()

    async def recrawl(self) -> None:
        """Visit everything again."""
        await self.frontier.recrawl(None)
        await self.settled()

    async def settled(self) -> None:
        """Wait until nothing is due and nothing on its way."""

        async def idle() -> bool:
            status = await self.frontier.status()
            return not status.due_now and not status.in_flight

        await until(idle)

    async def record(self, url: str) -> PageRecord:
        """Return what the frontier knows of a URL."""
        record = await self.frontier.page(normalize(url).key)
        assert record is not None, f"{url} is not known"
        return record

    async def document(self, url: str) -> dict[str, Any] | None:
        """Return the stored document of a URL."""
        read = await self.store.read(DOCUMENTS_SOURCE, [normalize(url).key.hex()])
        body = read.documents[0].body
        return None if body is None else json.loads(body)

    def left_out(self, reason: str) -> float:
        """Return how many links were counted as left out for a reason."""
        return self._table.total(self.metrics.links_left_out[reason].at)

    async def count(self) -> int:
        """Return how many documents there are."""
        return await self.store.count(DOCUMENTS_SOURCE)


async def until(condition: Callable[[], Any]) -> None:
    """Wait for a condition, asked again and again, for at most half a minute."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not await condition():
        assert time.monotonic() < deadline, "the crawl does not settle"
        await asyncio.sleep(0.05)


@asynccontextmanager
async def crawling(
    forks: ForkServer,
    *,
    pack: DomainPack = PACK,
    database_url: str = "",
    redis_url: str = "",
    **settings: Any,
) -> AsyncIterator[Crawl]:
    """Run a crawler; without a database everything is in memory."""
    told = CrawlerSettings(allow_networks="127.0.0.0/8", **settings)
    packs = Packs({pack.name: pack})
    database = PostgresDatabase(database_url) if database_url else MemoryDatabase()
    await database.open()
    frontier, services = await open_frontier(
        database, redis_url, FrontierSettings(packs=packs.policies(), longest_fetch_seconds=0.5)
    )
    documents = await open_documents(database)
    fetcher, parser = make_fetcher(told), make_parser(told, packs, forks)
    table = MetricsTable()
    metrics = CrawlerMetrics(table)
    pool, commits = pools_of(
        told, packs, metrics,
        frontier=frontier, database=database, documents=documents, fetcher=fetcher, parser=parser,
    )  # fmt: skip
    stop, stop_services = asyncio.Event(), asyncio.Event()
    running = asyncio.create_task(pool.run(stop))
    serving = [asyncio.create_task(each.run(stop_services)) for each in (*services, commits)]
    try:
        yield Crawl(frontier, documents, Seeds(packs, told.seed_scope), metrics, table)
    finally:
        stop.set()
        await running
        stop_services.set()
        await asyncio.gather(*serving)
        await parser.close()
        await fetcher.close()
        await frontier.close()
        await database.close()


def pack_with(**changes: Any) -> DomainPack:
    """Return the pack with other politeness, scope or recrawl settings."""
    return msgspec.structs.replace(PACK, **changes)
