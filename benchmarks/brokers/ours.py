"""Our two sides, the same on every broker: the exchange alone, and a whole worker pool."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import msgspec

from benchmarks.brokers.contest import BATCH, PAYLOAD, parts
from shared.jobs import Job
from shared.observability.metrics import MetricsTable
from shared.pool.processor import Execution
from shared.pool.retry_policy import RetryPolicy
from shared.pool.worker_pool import PoolMetrics, PoolSettings, WorkerPool
from shared.queue.factory import create_queue
from shared.queue.port import Queue, QueueSettings
from shared.verdicts import Done, Settlement

PUBLISH_BATCH = 1000


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


async def exchange(url: str, jobs: int) -> float:
    """Claim and settle without a pool."""
    async with _filled(url, jobs) as queue:
        settled: list[Settlement] = []
        started, left = time.perf_counter(), jobs
        while left or settled:
            answer = await queue.exchange(settled, min(BATCH, left))
            settled = [Settlement(each, Done()) for each in answer.deliveries]
            left -= len(settled)
            if left and not settled:
                await queue.wait(1.0)
        return time.perf_counter() - started


async def pool(url: str, jobs: int) -> float:
    """Decode, dispatch, time and count every job, as a worker does."""
    async with _filled(url, jobs) as queue:
        finished = asyncio.Event()
        worker = WorkerPool(
            queue,
            [Noop(jobs, finished)],
            settings=PoolSettings(workers=BATCH),
            metrics=PoolMetrics(MetricsTable(), [Noop.job_type]),
        )
        started = time.perf_counter()
        await worker.run(finished)
        return time.perf_counter() - started


@asynccontextmanager
async def _filled(url: str, jobs: int) -> AsyncIterator[Queue]:
    """A queue of its own with so many jobs, of which none may be left."""
    queue = create_queue(QueueSettings(name=f"bench-{uuid4().hex[:8]}"), url)
    try:
        await queue.open("bench", [Noop.job_type])
        for count in parts(jobs, PUBLISH_BATCH):
            await queue.publish([Job(type=Noop.job_type, payload=PAYLOAD) for _ in range(count)])
        yield queue
        left = await queue.depth()
        assert left.inbox + left.ready + left.leased + left.dead == 0, f"left behind: {left}"
    finally:
        await queue.close()
