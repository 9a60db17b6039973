"""`make bench-scale`: 1, 2 and 4 processes on one Redis, and on a Redis Cluster with shards.

Publishes no-op jobs, starts one worker command, and takes the time from the first settled job to
the last. Prints jobs/s and the CPU time of servers and workers a job: what will be the wall.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
import psutil

from benchmarks.scale_out.worker import QUEUE, Noop
from shared.embedded.valkey import ValkeyServer, wheel_program
from shared.jobs import Job
from shared.queue.factory import create_queue
from shared.queue.port import QueueDepth, QueueSettings
from tests.services.redis_cluster import RedisCluster

PAYLOAD = b'{"document_id":"doc-0000000001","note":"%s"}' % (b"x" * 100)
LOOK_SECONDS = 0.02


class Place(msgspec.Struct):
    """A server, or three."""

    url: str
    pids: Sequence[int]


@contextmanager
def one_redis() -> Iterator[Place]:
    """The system's Redis, or Valkey from its wheel; append-only every second."""
    with tempfile.TemporaryDirectory(prefix="bench-scale-") as directory:
        program = shutil.which("redis-server")
        server = ValkeyServer(Path(directory), program=Path(program) if program else None)
        server.start()
        try:
            yield Place(server.url, [server.pid or 0])
        finally:
            server.stop()


@contextmanager
def cluster() -> Iterator[Place]:
    """Three primaries of Valkey."""
    with tempfile.TemporaryDirectory(prefix="bench-scale-") as directory:
        servers = RedisCluster(Path(directory))
        servers.start()
        try:
            yield Place(servers.url, [node.pid or 0 for node in servers.nodes])
        finally:
            servers.kill()


async def publish(url: str, settings: QueueSettings, jobs: int) -> None:
    """Fill the queue."""
    queue = create_queue(settings, url)
    for start in range(0, jobs, 5_000):
        lot = range(start, min(jobs, start + 5_000))
        await queue.publish([Job(type=Noop.job_type, payload=PAYLOAD) for _ in lot])
    await queue.close()


async def depths(url: str, settings: QueueSettings, jobs: int) -> tuple[float, float]:
    """Return jobs settled a second, and how many seconds it took, from the first look on."""
    queue = create_queue(settings, url)
    first: tuple[float, int] | None = None
    while True:
        left = _left(await queue.depth())
        now = time.perf_counter()
        if first is None and left < jobs:
            first = now, left
        if not left:
            break
        await asyncio.sleep(LOOK_SECONDS)
    await queue.close()
    assert first is not None
    return first[1] / (now - first[0]), now - first[0]


def _left(depth: QueueDepth) -> int:
    return depth.ready + depth.leased + depth.delayed


def run_once(place: Place, shards: int, processes: int, jobs: int) -> tuple[float, float, float]:
    """Return jobs/s, and microseconds of CPU a job of workers and of servers."""
    settings = QueueSettings(name=QUEUE, shards=shards)
    asyncio.run(publish(place.url, settings, jobs))
    server_before = sum(map(_cpu, place.pids))
    environment = {
        **os.environ,
        "QUEUE_URL": place.url,
        "BENCH_SHARDS": str(shards),
        "PROCESSES": str(processes),
        "WORKERS": "200",
        "METRICS_PORT": "0",
        "LOG_LEVEL": "error",
    }
    command = [sys.executable, "-m", "benchmarks.scale_out.worker"]
    worker = subprocess.Popen(command, env=environment)
    try:
        rate, _ = asyncio.run(depths(place.url, settings, jobs))
        family = [psutil.Process(worker.pid), *psutil.Process(worker.pid).children(recursive=True)]
        worker_seconds = sum(_cpu(each.pid) for each in family)
        server_seconds = sum(map(_cpu, place.pids)) - server_before
    finally:
        worker.send_signal(signal.SIGTERM)
        worker.wait()
    return rate, worker_seconds / jobs * 1e6, server_seconds / jobs * 1e6


def _cpu(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def main() -> None:
    """Measure all ways and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=200_000)
    parser.add_argument("--runs", type=int, default=3)
    wanted = parser.parse_args()
    version = subprocess.check_output(
        [shutil.which("redis-server") or str(wheel_program()), "--version"], text=True
    ).split()[2]
    print(
        f"{os.cpu_count()} cores, Python {platform.python_version()}, Redis {version}, appendonly "
        f"everysec, WORKERS=200, payload {len(PAYLOAD)} bytes, {wanted.jobs:,} jobs, "
        f"median of {wanted.runs}"
    )
    print("     where  shards  processes    jobs/s  worker us  server us")
    for name, open_place, shards in (("one Redis", one_redis, 1), ("cluster", cluster, 3)):
        with open_place() as place:
            for processes in (1, 2, 4):
                runs = [run_once(place, shards, processes, wanted.jobs) for _ in range(wanted.runs)]
                rate, worker, server = (statistics.median(each) for each in zip(*runs, strict=True))
                print(
                    f"{name:>10} {shards:>7} {processes:>10} {rate:>9,.0f} "
                    f"{worker:>10.1f} {server:>10.1f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
