"""No-op jobs through the real Redis queue and the real pool, in one worker process.

`python -m benchmarks.queue_noop` starts a Redis of its own (append-only, fsync every second),
publishes jobs, and lets one fresh worker process work them off, several times over. The figure
runs from the worker's first claim to the settlement of the last job, as the server saw it.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec
import redis

from shared.embedded.valkey import ValkeyServer, wheel_program
from shared.jobs import Job
from shared.observability.metrics import MetricsTable
from shared.pool.processor import Execution
from shared.pool.retry_policy import RetryPolicy
from shared.pool.worker_pool import PoolMetrics, PoolSettings, WorkerPool
from shared.queue.factory import create_queue
from shared.queue.port import QueueSettings
from shared.verdicts import Done, Settlement

QUEUE = QueueSettings(name="bench:noop")
SLOTS = 200
JOBS = 100_000
RUNS = 3
PAYLOAD = b'{"document_id":"doc-0000000001","source":"documents","note":"%s"}' % (b"x" * 80)


class NoopPayload(msgspec.Struct, gc=False):
    """Decoded, so that the figure includes it."""

    document_id: str
    source: str
    note: str


class Noop:
    """Does nothing, and says when it has done so often enough."""

    job_type = "noop"
    payload_type = NoopPayload
    timeout_seconds = 30.0
    retry = RetryPolicy()

    def __init__(self, jobs: int, finished: asyncio.Event) -> None:
        self._left = jobs
        self._finished = finished

    async def process(self, execution: Execution[NoopPayload]) -> Done:
        """Count down."""
        self._left -= 1
        if self._left == 0:
            self._finished.set()
        return Done()


async def through_the_pool(url: str, jobs: int) -> float:
    """Work off the queue with a whole pool; return seconds."""
    stop = asyncio.Event()
    metrics = PoolMetrics(MetricsTable(), [Noop.job_type])
    queue = create_queue(QUEUE, url)
    await queue.open("bench", [Noop.job_type])
    pool = WorkerPool(
        queue, [Noop(jobs, stop)], settings=PoolSettings(workers=SLOTS), metrics=metrics
    )
    started = time.perf_counter()
    await pool.run(stop)
    seconds = time.perf_counter() - started
    await queue.close()
    return seconds


async def by_exchange_alone(url: str, jobs: int) -> float:
    """Claim and settle without a pool: what the queue alone can do; return seconds."""
    queue = create_queue(QUEUE, url)
    await queue.open("bench", [Noop.job_type])
    settled: list[Settlement] = []
    started = time.perf_counter()
    while jobs or settled:
        answer = await queue.exchange(settled, SLOTS)
        settled = [Settlement(each, Done()) for each in answer.deliveries]
        jobs -= len(settled)
    seconds = time.perf_counter() - started
    await queue.close()
    return seconds


WAYS = {"pool": through_the_pool, "exchange": by_exchange_alone}


async def publish(url: str, jobs: int) -> None:
    """Fill the queue."""
    queue = create_queue(QUEUE, url)
    await queue.publish([Job(type=Noop.job_type, payload=PAYLOAD) for _ in range(jobs)])
    await queue.close()


def settings() -> str:
    """Describe machine, versions and settings in one line."""
    program = shutil.which("redis-server") or str(wheel_program())
    said = subprocess.check_output([program, "--version"], text=True).split()
    return (
        f"{os.cpu_count()} cores, Python {platform.python_version()}, {said[0]} {said[2]}, "
        f"redis-py {redis.__version__}, uvloop, appendonly yes, appendfsync everysec, "
        f"1 process, WORKERS={SLOTS}, payload {len(PAYLOAD)} bytes, {JOBS:,} jobs, median of {RUNS}"
    )


def measure(jobs: int = JOBS, runs: int = RUNS) -> dict[str, float]:
    """Return medians: `jobs_per_s` (whole pool), `exchange_per_s` and `queue_rss_mb`.

    On a server of its own: the system's Redis, or Valkey from its wheel. Raises AssertionError
    when a run leaves a job behind: a fast queue that loses is no queue.
    """
    with tempfile.TemporaryDirectory(prefix="bench-queue-") as directory:
        program = shutil.which("redis-server")
        server = ValkeyServer(Path(directory), program=Path(program) if program else None)
        server.start()
        try:
            results = {way: [_one_run(server.url, way, jobs) for _ in range(runs)] for way in WAYS}
        finally:
            server.stop()
    pool, exchange = results["pool"], results["exchange"]
    return {
        "jobs_per_s": round(statistics.median(jobs / seconds for seconds, _ in pool)),
        "exchange_per_s": round(statistics.median(jobs / seconds for seconds, _ in exchange)),
        "queue_rss_mb": round(statistics.median(rss for _, rss in pool), 1),
    }


def _one_run(url: str, way: str, jobs: int) -> tuple[float, float]:
    asyncio.run(publish(url, jobs))
    command = [sys.executable, "-m", "benchmarks.queue_noop", "worker", url, way, str(jobs)]
    answer: dict[str, Any] = json.loads(subprocess.check_output(command))
    assert answer["left"] == 0, f"{answer['left']} jobs were left behind"
    return answer["seconds"], answer["rss_mb"]


def _worker(url: str, way: str, jobs: int) -> None:
    import uvloop

    seconds = uvloop.run(WAYS[way](url, jobs))
    depth = uvloop.run(create_queue(QUEUE, url).depth())
    left = depth.ready + depth.delayed + depth.leased + depth.dead
    print(json.dumps({"seconds": seconds, "rss_mb": _rss_mb(), "left": left}))


def _rss_mb() -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("no VmHWM in /proc/self/status")


if __name__ == "__main__":
    if sys.argv[1:2] == ["worker"]:
        _worker(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    else:
        print(settings())
        for name, value in measure().items():
            print(f"{name:>16} {value:>12,}")
