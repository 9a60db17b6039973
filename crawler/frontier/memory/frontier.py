"""The frontier of one process, in memory: for tests and for trying a domain pack."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection, Sequence

import msgspec

from crawler.frontier.keys import robots_of
from crawler.frontier.memory.politeness import MemoryLeaseKeeper, MemoryPoliteness
from crawler.frontier.memory.rows import Row
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
from crawler.frontier.settlement import row_verdict
from shared.clock import Clock, SystemClock
from shared.jobs import Delivery, Job
from shared.postgres.memory import memory_of
from shared.postgres.port import Transaction
from shared.verdicts import HandBack, Settlement
from shared.work_source import Exchange


class MemoryFrontier:
    """Implements crawler.frontier.port.Frontier. Goes with MemoryDatabase."""

    def __init__(self, settings: FrontierSettings, *, clock: Clock | None = None) -> None:
        self._settings = settings
        self._clock = clock or SystemClock()
        self._politeness = MemoryPoliteness(self._clock, settings.lease_seconds)
        self._rows: dict[bytes, Row] = {}
        self._robots: dict[str, tuple[RobotsRecord, float]] = {}
        self._host_of: dict[str, str] = {}
        self._granted: dict[str, bytes] = {}
        self._work = asyncio.Event()

    async def exchange(self, settled: Sequence[Settlement], want: int) -> Exchange:
        """Settle, then grant at most one request for each host that is ready."""
        self._work.clear()
        refused = [s.delivery.token for s in settled if not self._settle(s)]
        self._reap()
        deliveries: list[Delivery] = []
        for key, row in self._due():
            if len(deliveries) == want:
                break
            state = self._politeness.state(row.found.host)
            if not state.held_by and state.ready_at <= self._clock.monotonic():
                deliveries.append(self._grant(key, row))
        return Exchange(deliveries, refused, self._next_due())

    async def wait(self, timeout: float) -> None:
        """Return when something was added or released, or a host's time has come."""
        next_due = self._next_due()
        try:
            async with asyncio.timeout(timeout if next_due is None else min(timeout, next_due)):
                await self._work.wait()
        except TimeoutError:
            return

    def lease_keeper(self) -> MemoryLeaseKeeper:
        """Return a keeper; all keepers renew the one set of leases."""
        return MemoryLeaseKeeper(self._politeness, self._clock, self._settings.lease_seconds)

    async def discover(self, found: Sequence[Discovered]) -> int:
        """Add what is new."""
        now, added = self._clock.monotonic(), 0
        pages = Counter(row.found.pack for row in self._rows.values() if row.found.kind == "page")
        for url in found:
            self._politeness.state(url.host)
            if url.kind == "robots":
                self._rows[url.url_key] = self._hop(url, now)
            elif url.url_key not in self._rows:
                if url.kind == "page":
                    if pages[url.pack] >= self._settings.policy(url.pack).max_pages:
                        continue
                    pages[url.pack] += 1
                self._rows[url.url_key] = Row(found=url, due=now)
                self._add_origin(url, now)
                added += 1
        self._work.set()
        return added

    async def release(self, reports: Sequence[HostReport]) -> None:
        """Let hosts be asked again, in time."""
        for report in reports:
            self._politeness.release(report)
        self._work.set()

    async def commit(self, tx: Transaction, visits: Sequence[Visited]) -> Collection[str]:
        """Write visits when `tx` commits."""
        rows, accepted = memory_of(tx).view(self._rows), set()
        now, wall = self._clock.monotonic(), self._clock.wall()
        for visit in visits:
            key = bytes.fromhex(visit.target.url_key)
            if rows[key].epoch == visit.target.epoch:
                rows[key] = rows[key].visited(visit, now, wall)
                accepted.add(visit.target.url_key)
        return accepted

    async def put_robots(self, record: RobotsRecord) -> None:
        """Keep a record; a longer Crawl-delay counts from the present request on."""
        expires = self._clock.monotonic() + record.expires_in_seconds
        self._robots[record.origin] = (record, expires)
        host = self._host_of.get(record.origin, "")
        state = self._politeness.state(host)
        state.delay = max(state.delay, record.crawl_delay_seconds)
        self._work.set()

    async def robots(self, origin: str) -> RobotsRecord | None:
        """Return the record of an origin while it is fresh."""
        record, expires = self._robots.get(origin, (None, 0.0))
        left = expires - self._clock.monotonic()
        if record is None or left <= 0:
            return None
        return msgspec.structs.replace(record, expires_in_seconds=left)

    async def recrawl(self, url_keys: Sequence[bytes] | None) -> int:
        """Make pages due now."""
        chosen = [
            key
            for key, row in self._rows.items()
            if (url_keys is None and row.visited_at is not None and row.found.kind != "robots")
            or (url_keys is not None and key in url_keys)
        ]
        for key in chosen:
            due = self._clock.monotonic()
            self._rows[key] = msgspec.structs.replace(self._rows[key], due=due)
        self._work.set()
        return sum(1 for key in chosen if self._rows[key].found.kind == "page")

    async def removals(self, pack: str, window_seconds: float) -> Removals:
        """Count a pack's documents and recent removals."""
        rows = [row for row in self._rows.values() if row.found.pack == pack]
        since = self._clock.wall() - window_seconds
        return Removals(
            live=sum(1 for row in rows if row.last and row.last.document_id),
            removed=sum(1 for row in rows if row.removed_at is not None and row.removed_at > since),
        )

    async def status(self) -> FrontierStatus:
        """Return counts for people."""
        now = self._clock.monotonic()
        rows = [row for row in self._rows.values() if row.found.kind == "page"]
        waiting = [
            row for row in self._rows.values() if not row.claimed and row.found.kind != "robots"
        ]
        later = [row.due - now for row in waiting if row.due is not None and row.due > now]
        due_hosts = {row.found.host for _, row in self._due()}
        return FrontierStatus(
            pages=Counter(row.state.value for row in rows),
            reasons=Counter(row.reason for row in rows if row.reason),
            due_now=sum(1 for row in waiting if row.due is not None and row.due <= now),
            in_flight=self._politeness.in_flight,
            hosts=len({row.found.host for row in self._rows.values()}),
            hosts_waiting=sum(1 for h in due_hosts if self._politeness.state(h).ready_at > now),
            next_due_seconds=min(later, default=None),
        )

    async def page(self, url_key: bytes) -> PageRecord | None:
        """Return what is known of one URL."""
        row = self._rows.get(url_key)
        if row is None:
            return None
        ago = self._clock.wall() - self._clock.monotonic()
        return row.record(None if row.due is None else row.due + ago)

    async def close(self) -> None:
        """Nothing to let go of."""

    def _add_origin(self, url: Discovered, now: float) -> None:
        if url.origin not in self._host_of:
            self._host_of[url.origin] = url.host
            robots = robots_of(url)
            self._rows.setdefault(robots.url_key, Row(found=robots, due=now))

    def _hop(self, url: Discovered, now: float) -> Row:
        row = self._rows.get(url.url_key)
        return Row(found=url, due=now) if row is None else msgspec.structs.replace(row, due=now)

    def _due(self) -> list[tuple[bytes, Row]]:
        now = self._clock.monotonic()
        due = [
            (key, row)
            for key, row in self._rows.items()
            if not row.claimed and row.due is not None and row.due <= now
        ]
        stale = {
            row.found.origin
            for _, row in due
            if row.found.kind != "robots" and not self._is_fresh(row.found.origin)
        }
        allowed = [
            (key, row)
            for key, row in due
            if (row.found.origin in stale) == (row.found.kind == "robots")
        ]
        return sorted(allowed, key=lambda item: (-item[1].found.priority, item[1].due))

    def _is_fresh(self, origin: str) -> bool:
        _, expires = self._robots.get(origin, (None, float("-inf")))
        return expires > self._clock.monotonic()

    def _grant(self, key: bytes, row: Row) -> Delivery:
        row = self._rows[key] = row.claim()
        found, now = row.found, self._clock.monotonic()
        state = self._politeness.state(found.host)
        origins = [origin for origin, host in self._host_of.items() if host == found.host]
        records = [self._robots[origin][0] for origin in origins if origin in self._robots]
        state.delay = max(
            self._settings.policy(found.pack).delay_seconds,
            *(record.crawl_delay_seconds for record in records),
            0.0,
        )
        token = self._politeness.grant(found.host)
        self._granted[token] = key
        target = msgspec.structs.replace(row.target(), use_by=now + self._settings.grant_seconds)
        return Delivery(
            job=Job(
                type=JOB_TYPES[found.kind], payload=msgspec.json.encode(target), key=target.url_key
            ),
            token=token,
            attempt=target.attempt,
            crashes=target.crashes,
            lease_until=now + self._settings.lease_seconds,
        )

    def _settle(self, settlement: Settlement) -> bool:
        token = settlement.delivery.token
        if not self._politeness.is_leased(token):
            return False
        self._politeness.settle(token)
        key = self._granted.pop(token)
        row = self._rows[key]
        target = msgspec.json.decode(settlement.delivery.job.payload, type=Target)
        if row.epoch != target.epoch:
            return True
        verdict = row_verdict(target.url_key, target.epoch, settlement.verdict)
        if verdict is not None and row.claimed:
            self._rows[key] = row.settled(verdict, self._clock.monotonic())
        elif isinstance(settlement.verdict, HandBack):
            self._rows[key] = msgspec.structs.replace(row, claimed=False)
        return True

    def _reap(self) -> None:
        for token in self._politeness.reap():
            key = self._granted.pop(token)
            if self._rows[key].claimed:
                self._rows[key] = self._rows[key].lost(self._clock.monotonic())

    def _next_due(self) -> float | None:
        """Seconds until a host with due URLs may be asked."""
        now = self._clock.monotonic()
        ready = [
            state.ready_at - now
            for _, row in self._due()
            if not (state := self._politeness.state(row.found.host)).held_by
        ]
        later = [
            row.due - now
            for row in self._rows.values()
            if not row.claimed and row.due is not None and row.due > now
        ]
        return max(min([*ready, *later]), 0.0) if ready or later else None
