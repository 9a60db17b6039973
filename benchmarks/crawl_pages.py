"""Pages crawled and stored by one worker-crawler process: fetched, parsed, linked, committed.

`python -m benchmarks.crawl_pages` starts a Postgres and a Valkey of its own and a web server on
many loopback addresses, and runs `worker-crawler run` on it without a delay but, as always, with
one request at a time for each host. The figure runs from the first seed to the last commit.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.many_hosts import HOSTS, PAGES_A_HOST, PORT_LINE
from shared.embedded.postgres import PostgresServer
from shared.embedded.valkey import ValkeyServer
from shared.postgres.database import PostgresDatabase

WORKERS = 32
PARSERS = 2
DEADLINE_SECONDS = 300.0
_COUNT = "SELECT count(*) FROM worker_suite.pages WHERE state = 'fetched'"


def settings() -> str:
    """Say what is measured."""
    return (
        f"{HOSTS} hosts with {PAGES_A_HOST} pages of 8 KB, delay 0, one request a host at a time; "
        f"1 process, {WORKERS} workers, {PARSERS} parser processes; the web server shares the CPU"
    )


def measure() -> dict[str, float]:
    """Crawl everything once."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-crawl-")))
        directory.chmod(0o711)
        postgres = PostgresServer(directory / "postgres")
        valkey = ValkeyServer(directory / "valkey")
        for server in (postgres, valkey):
            server.start()
            stack.callback(server.stop)
        site = stack.enter_context(_program("benchmarks.many_hosts"))
        assert site.stdout is not None
        port = int(site.stdout.readline().removeprefix(PORT_LINE))
        environment = _environment(directory, postgres.url, valkey.url, port)
        return asyncio.run(_crawl(environment, postgres.url, port, site))


def _environment(directory: Path, database: str, redis: str, port: int) -> dict[str, str]:
    packs = directory / "packs"
    packs.mkdir()
    names = ", ".join(f"127.0.1.{number}" for number in range(1, HOSTS + 1))
    (packs / "bench.yaml").write_text(
        f"name: bench\nscope:\n  hosts: [{names}]\npoliteness:\n  delay_seconds: 0\n"
    )
    return os.environ | {
        "DATABASE_URL": database,
        "REDIS_URL": redis,
        "DOMAIN_PACKS": str(packs),
        "ALLOW_NETWORKS": "127.0.0.0/8",
        "LOG_LEVEL": "warning",
        "PARSERS": str(PARSERS),
    }


async def _crawl(
    environment: dict[str, str], database_url: str, port: int, site: subprocess.Popen[str]
) -> dict[str, float]:
    flags = ("run", "--workers", str(WORKERS), "--metrics-port", "0")
    with _program("crawler", *flags, environment=environment) as worker:
        seeds = [f"http://127.0.1.{number}:{port}/0" for number in range(1, HOSTS + 1)]
        database = PostgresDatabase(database_url, max_connections=1)
        await database.open()
        begun = time.monotonic()
        subprocess.run(
            [sys.executable, "-m", "crawler", "seed", *seeds], env=environment, check=True,
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        pages = HOSTS * PAGES_A_HOST
        while await _count(database) < pages:
            assert worker.poll() is None, "the crawler ended"
            assert time.monotonic() < begun + DEADLINE_SECONDS, "the crawl takes too long"
            await asyncio.sleep(0.1)
        seconds = time.monotonic() - begun
        rss, cpu = _rss_mb(worker.pid), _cpu_seconds(worker.pid)
        await database.close()
    site.terminate()
    counted = json.loads(site.communicate()[0])
    return {
        "pages_per_s": pages / seconds,
        "pages": float(pages),
        "crawl_seconds": seconds,
        "crawler_rss_mb": rss,
        "crawler_cpu_ms_a_page": 1000 * cpu / pages,
        "requests": counted["requests"],
        "requests_at_once_to_one_host": counted["overlaps"],
    }


async def _count(database: PostgresDatabase) -> int:
    async with database.connection() as connection:
        exists = await connection.fetchval("SELECT to_regclass('worker_suite.pages') IS NOT NULL")
        return int(await connection.fetchval(_COUNT)) if exists else 0


def _rss_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0


def _cpu_seconds(pid: int) -> float:
    """Of the worker process alone: parser processes, servers and site are not in it."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def _program(
    module: str, *arguments: str, environment: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[Any]]:
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments], env=environment, stdout=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    print(settings())
    print(json.dumps(measure()))
