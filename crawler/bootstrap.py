"""Wires worker-crawler: the only place that builds its adapters."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import msgspec

from crawler.commit_group import CommitGroup
from crawler.fetcher.address_guard import AddressGuard
from crawler.fetcher.http import AiohttpFetcher
from crawler.fetcher.port import Fetcher
from crawler.frontier.factory import open_frontier
from crawler.frontier.port import Frontier, FrontierSettings
from crawler.metrics import CrawlerMetrics
from crawler.packs import Packs
from crawler.parser.processes import ParserProcesses
from crawler.processors.fetch_page import FetchPage
from crawler.processors.fetch_robots import FetchRobots
from crawler.processors.fetch_sitemap import FetchSitemap
from crawler.processors.polite_requests import PoliteRequests
from crawler.removal_brake import BrakeSettings, RemovalBrake
from crawler.seeds import SEED, SeedProcessor, SeedRefusedError, Seeds, decode_seed
from crawler.settings import CrawlerSettings
from shared.clock import SystemClock
from shared.contracts.domain_pack_loader import load_packs
from shared.documents.factory import open_documents
from shared.documents.port import DocumentStore
from shared.errors import ConfigError
from shared.observability.metrics import MetricsTable
from shared.pool.queue_depth import QueueDepthProbe, QueueMetrics
from shared.pool.settings import PoolSettings
from shared.pool.worker_pool import WorkerPool
from shared.postgres.database import PostgresDatabase
from shared.postgres.port import Database
from shared.queue.factory import adapter_of, create_queue
from shared.queue.port import Queue, QueueSettings
from shared.supervisor.fork_server import ForkServer
from shared.supervisor.parts import Service
from shared.supervisor.worker import ProcessContext, WorkerParts, run_worker

KIND = "crawler"
HELPERS = ("crawler.parser.child",)
PRELOAD = ("crawler.frontier.postgres_redis.frontier", "shared.documents.postgres")
SEED_WORKERS = 2
GRANT_SECONDS = 10.0
BEYOND_TIMEOUT_SECONDS = 5.0
"""What a request may take beyond its pack's timeout until it is surely over."""
_MOST_CONNECTIONS = 8


class Parts(msgspec.Struct, frozen=True):
    """What the commands work on."""

    frontier: Frontier
    seeds: Seeds
    packs: Packs


def run(settings: CrawlerSettings) -> int:
    """Run the worker until it is told to stop; return its exit code."""
    packs = load(settings)
    AddressGuard(settings.networks())
    table = MetricsTable()
    metrics = CrawlerMetrics(table)
    queue_metrics = QueueMetrics(table, [settings.seeds_key])
    build = partial(_build, settings, packs, metrics, queue_metrics)
    preload = [*PRELOAD, adapter_of(settings.broker())]
    return run_worker(KIND, settings, table, build, preload=preload, helpers=HELPERS)


def load(settings: CrawlerSettings) -> Packs:
    """Read the domain packs. Raises ConfigError when they, or the database, are not there."""
    if not settings.database_url:
        raise ConfigError("DATABASE_URL is not set: pages and documents are kept in Postgres")
    return load_packs_of(settings)


def load_packs_of(settings: CrawlerSettings) -> Packs:
    """Read the domain packs alone. Raises ConfigError."""
    return Packs(load_packs(Path(settings.domain_packs)) if settings.domain_packs else {})


@asynccontextmanager
async def opened(settings: CrawlerSettings) -> AsyncIterator[Parts]:
    """Open the frontier for a command."""
    packs = load(settings)
    database = PostgresDatabase(settings.database_url, max_connections=2)
    await database.open()
    try:
        frontier, _ = await _open_frontier(settings, packs, database)
        try:
            yield Parts(frontier, Seeds(packs, settings.seed_scope), packs)
        finally:
            await frontier.close()
    finally:
        await database.close()


def make_fetcher(settings: CrawlerSettings) -> Fetcher:
    """Return a fetcher behind the address guard; made inside a running loop."""
    return AiohttpFetcher(AddressGuard(settings.networks()), settings.user_agent)


def make_parser(settings: CrawlerSettings, packs: Packs, forks: ForkServer) -> ParserProcesses:
    """Return the parser, its processes not yet started."""
    return ParserProcesses(
        forks, packs.by_name, user_agent=settings.user_agent, count=settings.parsers
    )


def pools_of(
    settings: CrawlerSettings,
    packs: Packs,
    metrics: CrawlerMetrics,
    *,
    frontier: Frontier,
    database: Database,
    documents: DocumentStore,
    fetcher: Fetcher,
    parser: ParserProcesses,
) -> tuple[WorkerPool, CommitGroup]:
    """Return the pool that crawls, and the commit group that it settles through."""
    clock = SystemClock()
    brake = RemovalBrake(
        frontier,
        BrakeSettings(share=settings.removal_brake_share, minimum=settings.removal_brake_minimum),
        clock,
    )
    commits = CommitGroup(database, frontier, documents, brake, metrics)
    requests = PoliteRequests(frontier, fetcher, metrics, clock)
    agent = settings.user_agent
    pool = WorkerPool(
        frontier,
        [
            FetchPage(frontier, requests, parser, packs, commits, user_agent=agent, clock=clock),
            FetchRobots(frontier, requests, packs, commits, user_agent=agent),
            FetchSitemap(frontier, requests, parser, packs, commits, user_agent=agent),
        ],
        settings=PoolSettings(workers=settings.workers, grace_seconds=settings.grace_seconds),
        metrics=metrics.pool,
    )
    return pool, commits


async def _build(
    settings: CrawlerSettings,
    packs: Packs,
    metrics: CrawlerMetrics,
    queue_metrics: QueueMetrics,
    context: ProcessContext,
) -> WorkerParts:
    database = PostgresDatabase(settings.database_url, max_connections=_MOST_CONNECTIONS)
    inbox = _inbox(settings)
    fetcher = make_fetcher(settings)
    parser = make_parser(settings, packs, context.fork_server)
    frontiers: list[Frontier] = []

    async def close() -> None:
        await inbox.close()
        await parser.close()
        await fetcher.close()
        for frontier in frontiers:
            await frontier.close()
        await database.close()

    try:
        await database.open()
        frontier, services = await _open_frontier(settings, packs, database)
        frontiers.append(frontier)
        documents = await open_documents(database)
        await inbox.open(KIND, [SEED])
        await parser.start()
        seeds = Seeds(packs, settings.seed_scope)
        if context.index == 0:
            await discover_packs(frontier, seeds, packs)
    except BaseException:
        await close()
        raise
    pool, commits = pools_of(
        settings, packs, metrics,
        frontier=frontier, database=database, documents=documents, fetcher=fetcher, parser=parser,
    )  # fmt: skip
    return WorkerParts(
        pools=[pool, _seed_pool(settings, inbox, SeedProcessor(seeds, frontier), metrics)],
        services=[
            *services,
            commits,
            QueueDepthProbe(settings.seeds_key, inbox.depth, queue_metrics),
        ],
        probes={"seeds": inbox.depth, "documents": documents.sources},
        close=close,
    )


async def discover_packs(frontier: Frontier, seeds: Seeds, packs: Packs) -> None:
    """Let the frontier know the packs' own seeds. Raises ConfigError when one is refused."""
    for pack in packs.by_name.values():
        try:
            await frontier.discover(seeds.of_pack(pack))
        except SeedRefusedError as error:
            raise ConfigError(f"domain pack {pack.name}: {error}") from error


async def _open_frontier(
    settings: CrawlerSettings, packs: Packs, database: Database
) -> tuple[Frontier, Sequence[Service]]:
    return await open_frontier(
        database,
        settings.redis(),
        FrontierSettings(
            packs=packs.policies(),
            lease_seconds=settings.lease_seconds,
            grant_seconds=min(GRANT_SECONDS, settings.lease_seconds / 3),
            longest_fetch_seconds=packs.longest_timeout() + BEYOND_TIMEOUT_SECONDS,
        ),
        prefix=settings.frontier_prefix,
        allow_eviction=settings.allow_eviction,
    )


def _inbox(settings: CrawlerSettings) -> Queue:
    return create_queue(
        QueueSettings(name=settings.seeds_key, lease_seconds=settings.lease_seconds),
        settings.broker(),
        allow_eviction=settings.allow_eviction,
        decoder=decode_seed,
    )


def _seed_pool(
    settings: CrawlerSettings, inbox: Queue, processor: SeedProcessor, metrics: CrawlerMetrics
) -> WorkerPool:
    return WorkerPool(
        inbox,
        [processor],
        settings=PoolSettings(workers=SEED_WORKERS, grace_seconds=settings.grace_seconds),
        metrics=metrics.pool,
    )
