"""Exchanges on JetStream beside the bare client: batches claimed and settled, nothing done.

`python -m benchmarks.brokers.nats` starts a nats-server of its own for each setting, and lets both
sides take turns on it. The bare client does what its documentation shows: `fetch(200)` from a
durable pull consumer, and an ack a message; once on a stream like ours, which keeps what is acked
until it is purged, and once on a work-queue stream, which deletes with each ack.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from uuid import uuid4

import uvloop
from nats.aio.client import Client
from nats.js.api import RetentionPolicy

from shared.jobs import Job
from shared.queue.factory import create_queue
from shared.queue.port import QueueSettings
from shared.verdicts import Done, Settlement
from tests.services.nats import Nats

BATCH = 200
JOBS = 4_000
RUNS = 3
SYNCS = {"always": "sync_always", "2m": "sync_default"}
PAYLOAD = b'{"document_id":"doc-0000000001","source":"documents","note":"%s"}' % (b"x" * 80)
Side = Callable[[str, int], Awaitable[float]]


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


async def _bare(url: str, jobs: int, retention: RetentionPolicy) -> float:
    client = Client()
    await client.connect(url)
    stream = client.jetstream()
    name = f"bare-{uuid4().hex[:8]}"
    await stream.add_stream(name=name, subjects=[name], retention=retention)
    for at in range(0, jobs, BATCH):
        count = min(BATCH, jobs - at)
        await asyncio.gather(*(stream.publish(name, PAYLOAD, timeout=60) for _ in range(count)))
    consumer = await stream.pull_subscribe(name, durable="bench")
    started = time.perf_counter()
    while jobs:
        messages = await consumer.fetch(BATCH, timeout=30)
        for message in messages:
            await message.ack()
        jobs -= len(messages)
    while (await consumer.consumer_info()).num_ack_pending:
        await asyncio.sleep(0.001)
    seconds = time.perf_counter() - started
    await stream.delete_stream(name)
    await client.close()
    return seconds


async def by_bare_client(url: str, jobs: int) -> float:
    """Fetch and ack on a stream with limits; return seconds until the server has all acks."""
    return await _bare(url, jobs, RetentionPolicy.LIMITS)


async def by_bare_work_queue(url: str, jobs: int) -> float:
    """Fetch and ack on a work-queue stream; return seconds until the server has all acks."""
    return await _bare(url, jobs, RetentionPolicy.WORK_QUEUE)


SIDES: dict[str, Side] = {
    "exchange": by_exchange,
    "bare_client": by_bare_client,
    "bare_work_queue": by_bare_work_queue,
}


def settings() -> str:
    """Describe what is measured in one line."""
    return (
        f"nats-server with file storage, one process, batches of {BATCH}, payload "
        f"{len(PAYLOAD)} bytes, {JOBS:,} jobs, median of {RUNS} alternating runs"
    )


def measure(jobs: int = JOBS, runs: int = RUNS) -> dict[str, float]:
    """Return jobs a second by side and durability: `exchange_per_s_sync_always` and so on."""
    return {
        f"{side}_per_s_{label}": speed
        for sync, label in SYNCS.items()
        for side, speed in _on_own_server(sync, jobs, runs).items()
    }


def _on_own_server(sync: str, jobs: int, runs: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="bench-nats-") as directory:
        server = Nats(Path(directory), sync=sync)
        server.start()
        try:
            seconds = [
                {name: uvloop.run(side(server.url, jobs)) for name, side in SIDES.items()}
                for _ in range(runs)
            ]
        finally:
            server.stop()
    return {name: round(jobs / statistics.median(run[name] for run in seconds)) for name in SIDES}


if __name__ == "__main__":
    print(settings())
    for name, value in measure().items():
        print(f"{name:>40} {value:>12,}")
