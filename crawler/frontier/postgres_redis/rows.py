"""The frontier's rows in Postgres: what is claimed, committed, settled and asked for."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from crawler.frontier.port import (
    FrontierStatus,
    HostReport,
    PageRecord,
    PageState,
    Removals,
    RobotsRecord,
    Target,
    Visited,
)
from crawler.frontier.postgres_redis.statements import statement
from crawler.frontier.settlement import RowVerdict
from shared.postgres.database import PostgresDatabase
from shared.postgres.port import Transaction
from shared.postgres.transaction import connection_of

LONGEST_AGE_SECONDS = 1e9
"""An interval in Postgres cannot be infinite."""

_TARGET_FIELDS = tuple(
    field
    for field in Target.__struct_fields__
    if field not in ("url_key", "epoch", "attempt", "crashes", "use_by")
)


class ClaimedRow(msgspec.Struct, frozen=True):
    """A claimed row, in the order in which its host's rows are handed out."""

    target: Target
    rank: tuple[int, float]


class FedHost(msgspec.Struct, frozen=True):
    """What the feeder has to know of a host."""

    asked_before: bool
    """Under an earlier incarnation."""
    interrupted: bool
    """Its requests were on their way when the present incarnation began."""
    blocked_seconds: float
    crawl_delay_seconds: float


class PageRows:
    """Runs the statements. Raises ConnectionLostError."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database

    async def due_hosts(self, after: str, limit: int) -> tuple[str | None, list[str]]:
        """Look at the next hosts; return the last one (None: no more) and those with work."""
        (row,) = await self._fetch("due_hosts", after, limit)
        return row["last"], row["hosts"] or []

    async def claim(self, wants: Mapping[str, int], claimants: Sequence[str]) -> list[ClaimedRow]:
        """Claim up to so many rows of each host, for its shard's incarnation."""
        rows = await self._fetch("claim", list(wants), list(wants.values()), claimants)
        return sorted((_claimed(row) for row in rows), key=lambda row: row.rank)

    async def fed_hosts(self, hosts: Sequence[str], claimants: Sequence[str]) -> dict[str, FedHost]:
        """Mark hosts as asked under an incarnation; return what has to be known of each."""
        rows = await self._fetch("fed_hosts", hosts, claimants)
        return {row["host"]: FedHost(*list(row.values())[1:]) for row in rows}

    async def unclaim(self, claims: Sequence[tuple[bytes, int]], *, crashed: bool) -> int:
        """Take claims (key, epoch) back under a higher epoch; return how many there were."""
        keys, epochs = [key for key, _ in claims], [epoch for _, epoch in claims]
        return len(await self._fetch("unclaim", keys, epochs, crashed))

    async def unclaim_foreign(self, incarnations: Sequence[str], limit: int) -> int:
        """Take back claims of incarnations that are no more; return how many there were."""
        return len(await self._fetch("unclaim_foreign", incarnations, limit))

    async def old_claims(
        self, older: float, younger: float, after: bytes, limit: int
    ) -> list[tuple[bytes, str, int]]:
        """Return (key, host, epoch) of claims of this age in seconds, in key order."""
        oldest = min(younger, LONGEST_AGE_SECONDS)
        rows = await self._fetch("old_claims", older, oldest, after, limit)
        return [(row["url_key"], row["host"], row["claim_epoch"]) for row in rows]

    async def commit(self, tx: Transaction, visits: Sequence[Visited]) -> set[str]:
        """Write visits in the caller's transaction; return the keys that were accepted."""
        connection = connection_of(tx)
        rows = await connection.fetch(statement("commit"), _json([_visit(v) for v in visits]))
        accepted = {row["url_key"].hex() for row in rows}
        kept = sorted(
            (bytes.fromhex(visit.target.url_key), visit.content_type, zlib.compress(visit.body, 1))
            for visit in visits
            if visit.body and visit.target.url_key in accepted
        )
        if kept:
            await connection.execute(
                statement("commit_bodies"), *map(list, zip(*kept, strict=True))
            )
        return accepted

    async def settle(self, verdicts: Sequence[RowVerdict]) -> None:
        """Write verdicts other than Done."""
        await self._fetch("settle", _json([_cleaned(msgspec.structs.asdict(v)) for v in verdicts]))

    async def block_hosts(self, reports: Sequence[HostReport]) -> None:
        """Keep blocks beyond the life of Redis."""
        longest: dict[str, float] = {}
        for report in reports:
            longest[report.host] = max(report.block_seconds, longest.get(report.host, 0.0))
        hosts = sorted(longest)
        await self._fetch("block_hosts", hosts, [longest[host] for host in hosts])

    async def put_robots(self, record: RobotsRecord) -> tuple[str, float] | None:
        """Keep a record; return the host and its longest Crawl-delay (unknown origin: None)."""
        rows = await self._fetch(
            "put_robots",
            record.origin,
            record.verdict,
            _clean(record.text),
            record.crawl_delay_seconds,
            record.expires_in_seconds,
            record.reason,
            _clean(record.detail),
        )
        return (rows[0]["host"], rows[0]["crawl_delay_seconds"]) if rows else None

    async def robots(self, origin: str) -> RobotsRecord | None:
        """Return a record while it is fresh."""
        for row in await self._fetch("robots", origin):
            return RobotsRecord(
                origin=origin,
                verdict=row["verdict"],
                text=row["robots"],
                expires_in_seconds=row["expires_in_seconds"],
                crawl_delay_seconds=row["crawl_delay_seconds"],
                reason=row["reason"],
                detail=row["detail"],
            )
        return None

    async def recrawl(self, url_keys: Sequence[bytes] | None) -> int:
        """Make rows due now; return how many pages there are."""
        (row,) = await self._fetch("recrawl", url_keys)
        return int(row["pages"])

    async def removals(self, pack: str, window_seconds: float) -> Removals:
        """Count a pack's documents and recent removals."""
        (row,) = await self._fetch("removals", pack, window_seconds)
        return Removals(*row.values())

    async def status(self, in_flight: int, hosts_waiting: int) -> FrontierStatus:
        """Return counts, with those that Redis knows."""
        pages: dict[str, int] = {}
        reasons: dict[str, int] = {}
        for row in await self._fetch("status_counts"):
            pages[row["state"]] = pages.get(row["state"], 0) + row["pages"]
            if row["reason"]:
                reasons[row["reason"]] = reasons.get(row["reason"], 0) + row["pages"]
        (due,) = await self._fetch("status_due")
        return FrontierStatus(
            pages=pages,
            reasons=reasons,
            due_now=max(due["due"] - in_flight, 0),
            in_flight=in_flight,
            hosts=due["hosts"],
            hosts_waiting=hosts_waiting,
            next_due_seconds=due["next_due_seconds"],
        )

    async def page(self, url_key: bytes) -> PageRecord | None:
        """Return what is known of one URL."""
        for row in await self._fetch("page", url_key):
            return PageRecord(**{**row, "state": PageState(row["state"])})
        return None

    async def _fetch(self, name: str, *arguments: Any) -> list[Any]:
        async with self._database.connection() as connection:
            rows: list[Any] = await connection.fetch(statement(name), *arguments)
            return rows


def _claimed(row: Any) -> ClaimedRow:
    target = Target(
        url_key=row["url_key"].hex(),
        epoch=row["claim_epoch"],
        attempt=row["attempts"] + 1,
        crashes=row["crashes"],
        **{field: row[field] for field in _TARGET_FIELDS},
    )
    return ClaimedRow(target, (-row["priority"], row["due"].timestamp()))


def _visit(visit: Visited) -> dict[str, Any]:
    return {
        "url_key": visit.target.url_key,
        "epoch": visit.target.epoch,
        "state": visit.state.value,
        **_cleaned({field: getattr(visit, field) for field in _VISIT_FIELDS}),
    }


_VISIT_FIELDS = tuple(
    field
    for field in Visited.__struct_fields__
    if field not in ("target", "state", "body", "content_type")
)


def _cleaned(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _clean(v) if isinstance(v, str) else v for name, v in row.items()}


def _clean(text: str) -> str:
    """Drop what Postgres cannot keep: a server's headers may hold anything."""
    return text.replace("\0", "").encode("utf-8", "ignore").decode()


def _json(rows: Sequence[Mapping[str, Any]]) -> str:
    return msgspec.json.encode(rows).decode()
