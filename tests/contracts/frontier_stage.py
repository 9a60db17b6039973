"""What every test of the frontier does: discover, take, visit, and look at the clock."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol

import msgspec

from crawler.frontier.memory.frontier import MemoryFrontier
from crawler.frontier.port import (
    Discovered,
    Frontier,
    FrontierSettings,
    HostReport,
    PackPolicy,
    PageState,
    RobotsRecord,
    Target,
    Visited,
)
from crawler.frontier.postgres_redis.frontier import PostgresRedisFrontier
from crawler.frontier.postgres_redis.statements import statement
from crawler.url.normalizer import normalize
from shared.jobs import Delivery
from shared.postgres.database import PostgresDatabase
from shared.postgres.memory import MemoryDatabase
from shared.postgres.port import Database
from shared.verdicts import Done, Settlement, Verdict

DELAY = 0.2
SETTINGS = FrontierSettings(
    packs={
        "p": PackPolicy(delay_seconds=DELAY, max_pages=50),
        "fast": PackPolicy(delay_seconds=0.0),
        "small": PackPolicy(delay_seconds=0.0, max_pages=3),
    },
    lease_seconds=10.0,
    grant_seconds=4.0,
    longest_fetch_seconds=0.6,
    head_size=4,
)


class OpensFrontiers(Protocol):
    """Opens a further frontier on the same truth."""

    async def __call__(self, settings: FrontierSettings = SETTINGS) -> Frontier: ...


KnowsOrigins = Callable[[Mapping[str, str]], Awaitable[None]]
"""Makes a frontier know origins and their hosts before any URL of theirs, so that what is kept of
their robots.txt is there before a quick feeder would have it fetched."""


def page(path: str = "/", host: str = "a.test", pack: str = "p", **more: Any) -> Discovered:
    """Describe a page to discover."""
    url = normalize(f"http://{host}{path}")
    return Discovered(
        url_key=url.key, url=url.url, host=url.host, origin=url.origin, pack=pack, **more
    )


def target(delivery: Delivery) -> Target:
    """Return what a delivery asks for."""
    return msgspec.json.decode(delivery.job.payload, type=Target)


def paths(deliveries: Sequence[Delivery]) -> list[str]:
    """Return the paths asked for."""
    return ["/" + target(d).url.split("/", 3)[3] for d in deliveries]


def visited(delivery: Delivery, **outcome: Any) -> Visited:
    """Describe a visit that went well, or as told."""
    told = {"state": PageState.FETCHED, "reason": "ok", "next_due_seconds": 3600.0, **outcome}
    return Visited(target=target(delivery), **told)


class Stage:
    """A frontier on its truth."""

    def __init__(
        self, frontier: Frontier, database: Database, opener: OpensFrontiers, know: KnowsOrigins
    ) -> None:
        self._know = know
        self.frontier = frontier
        self.database = database
        self.open_another = opener

    async def discover(self, *found: Discovered, robots: bool = True, **record: Any) -> int:
        """Discover URLs; let their origins allow everything, unless told not to."""
        origins = {url.origin: url.host for url in found} if robots else {}
        await self._know(origins)
        for origin in sorted(origins):
            await self.allow(origin, **record)
        return await self.frontier.discover(found)

    async def allow(self, origin: str, **record: Any) -> None:
        """Keep a robots record that allows everything for an hour, or as told."""
        told = {"verdict": "allow_all", "expires_in_seconds": 3600.0, **record}
        await self.frontier.put_robots(RobotsRecord(origin=origin, **told))

    async def take(
        self, want: int = 1, *, within: float = 30.0, frontier: Frontier | None = None
    ) -> list[Delivery]:
        """Take exactly so many deliveries."""
        source = frontier or self.frontier
        deadline = time.monotonic() + within
        taken: list[Delivery] = []
        while len(taken) < want:
            taken += (await source.exchange([], want - len(taken))).deliveries
            if time.monotonic() > deadline:
                raise AssertionError(f"{len(taken)} of {want} came: {paths(taken)}")
            if len(taken) < want:
                await source.wait(0.05)
        return taken

    async def nothing_for(self, seconds: float) -> None:
        """See that nothing is handed out for so long."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            came = (await self.frontier.exchange([], 10)).deliveries
            assert paths(came) == []
            await asyncio.sleep(0.01)

    async def release(self, delivery: Delivery, since: float = 0.0, block: float = 0.0) -> None:
        """Report the end of a request."""
        report = HostReport(
            token=delivery.token,
            host=target(delivery).host,
            since_start_seconds=since,
            block_seconds=block,
        )
        await self.frontier.release([report])

    async def commit(self, delivery: Delivery, **outcome: Any) -> bool:
        """Commit a visit; return whether it was accepted."""
        async with self.database.transaction() as tx:
            accepted = await self.frontier.commit(tx, [visited(delivery, **outcome)])
        return target(delivery).url_key in accepted

    async def settle(self, delivery: Delivery, verdict: Verdict | None = None) -> Sequence[str]:
        """Settle a delivery; return the refused tokens."""
        settlement = Settlement(delivery, verdict or Done())
        return (await self.frontier.exchange([settlement], 0)).refused

    async def visit(self, delivery: Delivery, **outcome: Any) -> None:
        """Do all of it, as a processor does."""
        await self.release(delivery)
        assert await self.commit(delivery, **outcome)
        assert await self.settle(delivery) == []


@asynccontextmanager
async def memory_stage() -> AsyncIterator[Stage]:
    """A stage in memory; there is but one frontier on it."""
    frontier = MemoryFrontier(SETTINGS)

    async def the_same(settings: FrontierSettings = SETTINGS) -> Frontier:
        return frontier

    async def know(origins: Mapping[str, str]) -> None:
        frontier._host_of.update(origins)

    yield Stage(frontier, MemoryDatabase(), the_same, know)


@asynccontextmanager
async def postgres_redis_stage(database_url: str, redis_url: str) -> AsyncIterator[Stage]:
    """A stage on real servers; each frontier has its feeder running."""
    database = PostgresDatabase(database_url)
    await database.open()
    stop = asyncio.Event()
    opened: list[PostgresRedisFrontier] = []
    feeders: list[asyncio.Task[None]] = []

    async def another(settings: FrontierSettings = SETTINGS) -> Frontier:
        frontier = PostgresRedisFrontier(database, redis_url, settings)
        await frontier.open()
        opened.append(frontier)
        feeders.append(asyncio.create_task(frontier.feeder.run(stop)))
        return frontier

    async def know(origins: Mapping[str, str]) -> None:
        names = sorted(origins)
        hosts = [origins[name] for name in names]
        async with database.transaction() as tx:
            await tx.connection.execute(statement("discover_hosts"), sorted(set(hosts)))
            await tx.connection.execute(statement("discover_origins"), names, hosts)

    yield Stage(await another(), database, another, know)
    stop.set()
    await asyncio.gather(*feeders)
    for frontier in opened:
        await frontier.close()
    await database.close()
