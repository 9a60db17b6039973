"""Keeps the heads in Redis filled from Postgres, and brings lost work back. Any number may run."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import Callable, Sequence

import msgspec

from crawler.frontier.port import FrontierSettings, Target
from crawler.frontier.postgres_redis.heads import Feed, RedisHeads, member_of, shard_of
from crawler.frontier.postgres_redis.rows import FedHost, PageRows
from shared.errors import WorkerSuiteError
from shared.observability.logs import get_logger

INTERVAL_SECONDS = 0.5
"""How late work is noticed that another process made due."""
HOSTS_A_LOOK = 1_000
ROWS_A_LOOK = 1_000
UNKNOWN_CLAIM_SECONDS = 10.0
"""A claim this old that Redis does not know was lost on the way there, or on the way back. Should
it arrive after all, its visit is dropped: it was taken back under a higher epoch."""
SWEEP_SECONDS = 5.0
FULL_SWEEP_SECONDS = 120.0
"""Between full sweeps only claims that have just come of age are looked at."""

_log = get_logger(__name__)


class Feeder:
    """A service: `run` until stopped."""

    def __init__(
        self, rows: PageRows, heads: RedisHeads, settings: FrontierSettings, work: asyncio.Event
    ) -> None:
        """`work` is set when something was fed."""
        self._rows = rows
        self._heads = heads
        self._settings = settings
        self._work = work
        self._wanted = asyncio.Event()
        self._incarnations: list[str] = []

    def wake(self) -> None:
        """Look for work soon."""
        self._wanted.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Feed, reap and sweep until `stop` is set; a lost server is waited for."""
        sweeps = _Sweeps(asyncio.get_running_loop().time)
        while not stop.is_set():
            self._wanted.clear()
            try:
                await self.feed()
                if sweeps.due():
                    await self.sweep(younger_than_seconds=sweeps.age_limit())
                    sweeps.done()
            except WorkerSuiteError as error:
                _log.warning("frontier_not_fed", error=str(error))
                self._wanted.clear()
            await self._pause(stop)

    async def feed(self) -> int:
        """Take back expired leases, then fill the heads; return how many URLs were fed."""
        await self._enter()
        expired = await self._heads.reap(ROWS_A_LOOK)
        if expired:
            await self._rows.unclaim(expired, crashed=True)
        fed, after = 0, ""
        while True:
            last, hosts = await self._rows.due_hosts(after, HOSTS_A_LOOK)
            if hosts:
                fed += await self._fill(hosts)
            if last is None:
                return fed
            after = last

    async def sweep(
        self,
        older_than_seconds: float = UNKNOWN_CLAIM_SECONDS,
        younger_than_seconds: float = float("inf"),
    ) -> int:
        """Take back claims of this age that Redis does not know; return how many."""
        lost, after = 0, b""
        while True:
            claims = await self._rows.old_claims(
                older_than_seconds, younger_than_seconds, after, ROWS_A_LOOK
            )
            if not claims:
                return lost
            members = [(host, member_of(key.hex(), epoch)) for key, host, epoch in claims]
            known = await self._heads.knows(members)
            unknown = [
                (key, epoch)
                for (key, _, epoch), is_known in zip(claims, known, strict=True)
                if not is_known
            ]
            if unknown:
                lost += await self._rows.unclaim(unknown, crashed=False)
            after = claims[-1][0]

    async def _enter(self) -> None:
        """Before anything is fed to a new incarnation, take back what the old ones had."""
        incarnations = await self._heads.enter()
        if incarnations == self._incarnations:
            return
        taken = 0
        while count := await self._rows.unclaim_foreign(incarnations, ROWS_A_LOOK):
            taken += count
        if taken:
            _log.warning("frontier_redis_lost", claims_taken_back=taken)
        self._incarnations = incarnations

    async def _fill(self, hosts: Sequence[str]) -> int:
        size = self._settings.head_size
        lengths = await self._heads.lengths(hosts)
        wants = {
            host: size - length
            for host, length in zip(hosts, lengths, strict=True)
            if length <= size // 2
        }
        claimed: dict[str, list[Target]] = defaultdict(list)
        for row in await self._rows.claim(wants, [self._incarnation(host) for host in wants]):
            claimed[row.target.host].append(row.target)
        if claimed:
            await self._push(claimed)
            self._work.set()
        return sum(map(len, claimed.values()))

    async def _push(self, claimed: dict[str, list[Target]]) -> None:
        """Bring claimed rows to Redis; those that do not get there are given back."""
        try:
            incarnations = [self._incarnation(host) for host in claimed]
            known = await self._rows.fed_hosts(list(claimed), incarnations)
            for host in list(claimed):
                if not await self._heads.feed(self._feed(host, claimed[host], known[host])):
                    self.wake()
                    break
                del claimed[host]
        finally:
            left = [
                (bytes.fromhex(target.url_key), target.epoch)
                for targets in claimed.values()
                for target in targets
            ]
            if left:
                await self._rows.unclaim(left, crashed=False)

    def _feed(self, host: str, targets: Sequence[Target], known: FedHost) -> Feed:
        of_packs = max(self._settings.policy(target.pack).delay_seconds for target in targets)
        delay = max(of_packs, known.crawl_delay_seconds)
        hold = delay if known.asked_before or known.interrupted else None
        if known.interrupted:
            # A request granted just before may still begin, and then take as long as any.
            hold = delay + self._settings.grant_seconds + self._settings.longest_fetch_seconds
        return Feed(
            incarnation=self._incarnation(host),
            host=host,
            delay_seconds=delay,
            hold_seconds=hold,
            blocked_seconds=known.blocked_seconds,
            entries=[
                (member_of(target.url_key, target.epoch), msgspec.json.encode(target))
                for target in targets
            ],
        )

    def _incarnation(self, host: str) -> str:
        return self._incarnations[shard_of(host)]

    async def _pause(self, stop: asyncio.Event) -> None:
        stopped = asyncio.ensure_future(stop.wait())
        wanted = asyncio.ensure_future(self._wanted.wait())
        await asyncio.wait(
            {stopped, wanted},
            timeout=INTERVAL_SECONDS * random.uniform(0.8, 1.2),
            return_when=asyncio.FIRST_COMPLETED,
        )
        for task in (stopped, wanted):
            task.cancel()


class _Sweeps:
    """When to sweep, and how far: a first sweep looks at everything."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._last = self._last_full = float("-inf")
        self._full = True

    def due(self) -> bool:
        """Whether it is time."""
        return self._now() - self._last >= SWEEP_SECONDS

    def age_limit(self) -> float:
        """Return the age in seconds up to which claims have not been looked at yet."""
        self._full = self._now() - self._last_full >= FULL_SWEEP_SECONDS
        since_last = self._now() - self._last
        return float("inf") if self._full else UNKNOWN_CLAIM_SECONDS + 2 * since_last

    def done(self) -> None:
        """Note that the sweep was made."""
        self._last = self._now()
        if self._full:
            self._last_full = self._last
