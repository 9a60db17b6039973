"""Adds URLs to `pages`: once each, in key order, within the budgets of their packs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec

from crawler.frontier.keys import robots_of
from crawler.frontier.port import Discovered, FrontierSettings
from crawler.frontier.postgres_redis.statements import statement
from crawler.frontier.recent import Recent
from shared.clock import Clock
from shared.postgres.database import PostgresDatabase

KNOWN_KEYS = 200_000
"""About 30 MB a process; what is forgotten costs a look-up, no more."""
KNOWN_ORIGINS = 20_000
ROWS_A_STATEMENT = 1_000
BUDGET_SECONDS = 5.0
"""How old a process's count of a pack may be; its own discoveries are added at once."""


class Discovery:
    """Discovers on behalf of one process."""

    def __init__(
        self, database: PostgresDatabase, settings: FrontierSettings, clock: Clock
    ) -> None:
        self._database = database
        self._budgets = _Budgets(settings, clock)
        self._keys: Recent[bytes] = Recent(KNOWN_KEYS)
        self._origins: Recent[str] = Recent(KNOWN_ORIGINS)

    async def discover(self, found: Sequence[Discovered]) -> int:
        """Add what is new; return how many rows were added, robots.txt not counted."""
        new = {
            url.url_key: url
            for url in found
            if url.kind == "robots" or url.url_key not in self._keys
        }
        urls = list(new.values())
        added = 0
        for start in range(0, len(urls), ROWS_A_STATEMENT):
            added += await self._add(urls[start : start + ROWS_A_STATEMENT])
        return added

    async def _add(self, urls: Sequence[Discovered]) -> int:
        async with self._database.transaction() as tx:
            connection = tx.connection
            unknown = await self._unknown(connection, urls)
            refused = await self._budgets.refused(connection, unknown)
            wanted = [url for url in unknown if url.url_key not in refused]
            robots = await self._add_places(connection, wanted)
            rows = await connection.fetch(statement("discover_pages"), _json([*wanted, *robots]))
        self._keys.add(url.url_key for url in urls if url.url_key not in refused)
        self._origins.add(url.origin for url in robots)
        added = [row for row in rows if row["added"] and row["kind"] != "robots"]
        self._budgets.spend(row["pack"] for row in added if row["kind"] == "page")
        return len(added)

    async def _unknown(self, connection: Any, urls: Sequence[Discovered]) -> list[Discovered]:
        keys = sorted(url.url_key for url in urls if url.kind != "robots")
        rows = await connection.fetch(statement("discover_unknown"), keys)
        unknown = {row["url_key"] for row in rows}
        return [url for url in urls if url.kind == "robots" or url.url_key in unknown]

    async def _add_places(
        self, connection: Any, urls: Sequence[Discovered]
    ) -> Sequence[Discovered]:
        """Add hosts and origins; return the robots.txt of origins this process did not know.

        A robots.txt itself is asked for without leave, and a hop of one is on another host.
        """
        new = {url.origin: url for url in urls if url.kind != "robots"}
        origins = sorted(origin for origin in new if origin not in self._origins)
        hosts = [new[origin].host for origin in origins]
        if urls:
            every_host = sorted({url.host for url in urls})
            await connection.execute(statement("discover_hosts"), every_host)
            await connection.execute(statement("discover_origins"), origins, hosts)
        return [robots_of(new[origin]) for origin in origins]


class _Budgets:
    """How many pages each pack may still get. A count is taken anew every few seconds."""

    def __init__(self, settings: FrontierSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._known: Counter[str] = Counter()
        self._counted_at: dict[str, float] = {}

    async def refused(self, connection: Any, unknown: Sequence[Discovered]) -> set[bytes]:
        """Return the keys of the pages that are too many, the last found first."""
        room: dict[str, int] = {}
        refused = set()
        for url in unknown:
            if url.kind != "page":
                continue
            if url.pack not in room:
                room[url.pack] = await self._room(connection, url.pack)
            room[url.pack] -= 1
            if room[url.pack] < 0:
                refused.add(url.url_key)
        return refused

    def spend(self, packs: Any) -> None:
        """Count pages that this process has just added."""
        self._known.update(packs)

    async def _room(self, connection: Any, pack: str) -> int:
        most = self._settings.policy(pack).max_pages
        now = self._clock.monotonic()
        if now - self._counted_at.get(pack, float("-inf")) > BUDGET_SECONDS:
            self._known[pack] = await connection.fetchval(statement("count_pack"), pack, most)
            self._counted_at[pack] = now
        return most - self._known[pack]


def _json(urls: Sequence[Discovered]) -> str:
    rows = [
        {**msgspec.structs.asdict(url), "url_key": url.url_key.hex()}
        for url in sorted(urls, key=lambda url: url.url_key)
    ]
    return msgspec.json.encode(rows).decode()
