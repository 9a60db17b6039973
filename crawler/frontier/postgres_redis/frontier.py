"""The frontier over Postgres, which is the truth, and Redis, which holds what is due next."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from pathlib import Path
from uuid import uuid4

import msgspec

from crawler.frontier.port import (
    JOB_TYPES,
    Discovered,
    FrontierSettings,
    FrontierStatus,
    HostReport,
    PageRecord,
    Removals,
    RobotsRecord,
    Target,
    Visited,
)
from crawler.frontier.postgres_redis.discovery import Discovery
from crawler.frontier.postgres_redis.feeder import Feeder
from crawler.frontier.postgres_redis.heads import Exchanged, RedisHeads
from crawler.frontier.postgres_redis.lease_keeper import frontier_lease_keeper
from crawler.frontier.postgres_redis.rows import PageRows
from crawler.frontier.settlement import row_verdict
from shared.clock import Clock, SystemClock
from shared.jobs import Delivery, Job
from shared.postgres.database import PostgresDatabase
from shared.postgres.migrations import migrate
from shared.postgres.port import Transaction
from shared.redis.client import connect
from shared.redis.server import check_server
from shared.renewal_thread import RenewalThread
from shared.verdicts import HandBack, Settlement
from shared.work_source import Exchange

POLL_SECONDS = 0.1
"""How late another process's feed may be noticed; own feeds wake at once."""


class PostgresRedisFrontier:
    """Implements crawler.frontier.port.Frontier. One for each process; `feeder` is its service."""

    def __init__(
        self,
        database: PostgresDatabase,
        redis_url: str,
        settings: FrontierSettings,
        *,
        prefix: str = "crawler:frontier",
        clock: Clock | None = None,
    ) -> None:
        """Keep what is needed; connects at the first call. `database` is open, and not closed."""
        self._settings = settings
        self._clock = clock or SystemClock()
        self._redis_url, self._prefix = redis_url, prefix
        self._client = connect(redis_url)
        self._database = database
        self._heads = RedisHeads(self._client, prefix)
        self._rows = PageRows(database)
        self._discovery = Discovery(database, settings, self._clock)
        self._work = asyncio.Event()
        self.feeder = Feeder(self._rows, self._heads, settings, self._work)
        self._consumer = uuid4().hex
        self._call = 0
        self._unanswered: tuple[list[str], int] | None = None
        self._next_due: float | None = None

    async def open(self, *, allow_eviction: bool = False) -> None:
        """Create or update the tables; look at Redis. Raises DependencyError."""
        await migrate(self._database, "crawler", Path(__file__).parent / "migrations")
        await check_server(self._client, allow_eviction=allow_eviction)

    async def exchange(self, settled: Sequence[Settlement], want: int) -> Exchange:
        """Write verdicts to their rows, give leases back, and take grants."""
        await self._write_verdicts(settled)
        request = ([s.delivery.token for s in settled], want)
        if request != self._unanswered:
            self._call += 1
        self._unanswered = request
        self._work.clear()
        asked_at = self._clock.monotonic()
        exchanged = await self._heads.exchange(
            self._consumer,
            self._call,
            [(_verb(s), s.delivery.token) for s in settled],
            want,
            self._settings.lease_seconds,
            self._call,
        )
        self._unanswered = None
        return self._exchange(exchanged, asked_at, want)

    async def wait(self, timeout: float) -> None:
        """Return when this process fed, a host's time has come, or it is time to look again."""
        soonest = min(timeout, POLL_SECONDS)
        if self._next_due is not None:
            soonest = min(soonest, max(self._next_due - self._clock.monotonic(), 0.0))
        try:
            async with asyncio.timeout(soonest):
                await self._work.wait()
        except TimeoutError:
            return

    def lease_keeper(self) -> RenewalThread:
        """Return a keeper with a connection of its own."""
        return frontier_lease_keeper(self._redis_url, self._prefix, self._settings.lease_seconds)

    async def discover(self, found: Sequence[Discovered]) -> int:
        """Add URLs that are not known, and wake the feeder when there are any."""
        added = await self._discovery.discover(found)
        if added or any(url.kind == "robots" for url in found):
            self.feeder.wake()
        return added

    async def release(self, reports: Sequence[HostReport]) -> None:
        """Let hosts be asked again; Redis first, for there the next grant is decided.

        A block that could not be told to Redis comes there with the host's next feed.
        """
        blocks = [report for report in reports if report.block_seconds > 0]
        try:
            await self._heads.release(reports)
            self._work.set()
        finally:
            if blocks:
                await self._rows.block_hosts(blocks)

    async def commit(self, tx: Transaction, visits: Sequence[Visited]) -> Collection[str]:
        """Write visits in the caller's transaction."""
        return await self._rows.commit(tx, visits)

    async def put_robots(self, record: RobotsRecord) -> None:
        """Keep a record; a longer Crawl-delay counts from the present request on."""
        kept = await self._rows.put_robots(record)
        if kept is not None:
            await self._heads.lengthen(*kept)
        self.feeder.wake()

    async def robots(self, origin: str) -> RobotsRecord | None:
        """Return the record of an origin while it is fresh."""
        return await self._rows.robots(origin)

    async def recrawl(self, url_keys: Sequence[bytes] | None) -> int:
        """Make pages due now."""
        count = await self._rows.recrawl(url_keys)
        self.feeder.wake()
        return count

    async def removals(self, pack: str, window_seconds: float) -> Removals:
        """Count a pack's documents and recent removals."""
        return await self._rows.removals(pack, window_seconds)

    async def status(self) -> FrontierStatus:
        """Return counts for people."""
        return await self._rows.status(*await self._heads.in_flight_and_waiting())

    async def page(self, url_key: bytes) -> PageRecord | None:
        """Return what is known of one URL."""
        return await self._rows.page(url_key)

    async def close(self) -> None:
        """Close the connections to Redis."""
        await self._heads.close()

    async def _write_verdicts(self, settled: Sequence[Settlement]) -> None:
        verdicts = []
        for settlement in settled:
            target = target_of(settlement.delivery)
            verdict = row_verdict(target.url_key, target.epoch, settlement.verdict)
            if verdict is not None:
                verdicts.append(verdict)
        if verdicts:
            await self._rows.settle(verdicts)
            self.feeder.wake()

    def _exchange(self, exchanged: Exchanged, asked_at: float, want: int) -> Exchange:
        answer = exchanged.answer
        # The grants were made after `asked_at`: counting from there is on the safe side.
        granted_at = asked_at - (exchanged.now_ms - answer.granted_ms) / 1000
        next_due = max((answer.next_ms - exchanged.now_ms) / 1000, 0) if answer.next_ms else None
        self._next_due = None if next_due is None else self._clock.monotonic() + next_due
        if answer.stale_shards or len(answer.grants) < want:
            self.feeder.wake()
        return Exchange(
            deliveries=[
                self._delivery(grant.token, grant.entry, granted_at) for grant in answer.grants
            ],
            refused=answer.refused,
            next_due_seconds=next_due,
        )

    def _delivery(self, token: str, entry: str, granted_at: float) -> Delivery:
        target = msgspec.json.decode(entry, type=Target)
        use_by = granted_at + self._settings.grant_seconds
        payload = msgspec.json.encode(msgspec.structs.replace(target, use_by=use_by))
        return Delivery(
            job=Job(type=JOB_TYPES[target.kind], payload=payload, key=target.url_key),
            token=token,
            attempt=target.attempt,
            crashes=target.crashes,
            lease_until=granted_at + self._settings.lease_seconds,
        )


def target_of(delivery: Delivery) -> Target:
    """Return the target that a delivery of a frontier carries."""
    return msgspec.json.decode(delivery.job.payload, type=Target)


def _verb(settlement: Settlement) -> str:
    return "back" if isinstance(settlement.verdict, HandBack) else "done"
