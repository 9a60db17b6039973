"""No-op jobs through the real Redis queue and pool: our own row of `make bench-queue`, alone.

A Redis of its own (append-only, fsync every second), one fresh worker process a run.
"""

from __future__ import annotations

import asyncio
import os
import platform
import statistics

from benchmarks.queue import measure as runs_of
from benchmarks.queue.peers import ours_here
from benchmarks.queue.run import Bench, Load
from benchmarks.queue.servers import redis_version
from benchmarks.queue.stage import Stage
from shared.queue.factory import create_queue
from shared.queue.port import QueueSettings

LOAD = Load(jobs=100_000)
RUNS = 3


def settings() -> str:
    """Describe machine, versions and settings in one line."""
    return (
        f"{os.cpu_count()} cores, Python {platform.python_version()}, {redis_version()}, uvloop, "
        f"appendonly yes, appendfsync everysec, 1 process, WORKERS={ours_here.slots}, "
        f"payload {LOAD.payload_bytes} bytes, {LOAD.jobs:,} jobs, median of {RUNS}"
    )


def measure() -> dict[str, float]:
    """Return medians: `jobs_per_s` and `queue_rss_mb`.

    Raises AssertionError when a run leaves a job behind: a fast queue that loses is no queue.
    """
    with Stage(quick=False) as stage:
        bench = stage.bench(ours_here, LOAD)
        figures = [_one_run(bench) for _ in range(RUNS)]
    return {
        "jobs_per_s": round(statistics.median(each.jobs_per_s for each in figures)),
        "queue_rss_mb": round(statistics.median(each.rss_mb for each in figures), 1),
    }


def _one_run(bench: Bench) -> runs_of.Figures:
    figures = runs_of.throughput(bench)
    left = asyncio.run(create_queue(QueueSettings(name=bench.queue), bench.server.url).depth())
    assert left.ready + left.leased + left.dead == 0, f"left behind: {left}"
    return figures
