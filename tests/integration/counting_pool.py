"""A real pool on a real queue, whose processor counts what it did."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import msgspec

from shared.jobs import Job, new_job
from shared.observability.metrics import MetricsTable
from shared.pool.processor import Execution
from shared.pool.retry_policy import RetryPolicy
from shared.pool.worker_pool import PoolMetrics, PoolSettings, WorkerPool
from shared.queue.port import Queue
from shared.verdicts import Done

JOB_TYPE = "number"


class Number(msgspec.Struct):
    """A payload."""

    n: int


async def _nothing(_: int) -> None:
    """Do no work."""


class Counting:
    """Works on numbers, and counts how often it did so."""

    job_type = JOB_TYPE
    payload_type = Number
    timeout_seconds = 30.0
    retry = RetryPolicy(first_delay_seconds=0.01)

    def __init__(self, work: Callable[[int], Awaitable[None]] = _nothing) -> None:
        self.ran: Counter[int] = Counter()
        self._work = work
        self._news = asyncio.Event()

    async def process(self, execution: Execution[Number]) -> Done:
        """Work, and count."""
        await self._work(execution.payload.n)
        self.ran[execution.payload.n] += 1
        self._news.set()
        return Done()

    async def reaches(self, count: int, seconds: float = 30.0) -> None:
        """Return once so many different numbers have run."""
        async with asyncio.timeout(seconds):
            while len(self.ran) < count:
                self._news.clear()
                await self._news.wait()


def numbers(*wanted: int) -> list[Job]:
    """Make a job for each number."""
    return [new_job(JOB_TYPE, Number(n)) for n in wanted]


@asynccontextmanager
async def pool_on(
    queue: Queue, counting: Counting, slots: int = 10, *, cancel_grace_seconds: float = 5.0
) -> AsyncIterator[None]:
    """Run a pool on a queue that it opens and, at the end, closes."""
    stop = asyncio.Event()
    metrics = PoolMetrics(MetricsTable(), [JOB_TYPE])
    settings = PoolSettings(
        workers=slots,
        sweep_seconds=0.02,
        grace_seconds=5.0,
        cancel_grace_seconds=cancel_grace_seconds,
    )
    pool = WorkerPool(queue, [counting], settings=settings, metrics=metrics)
    await queue.open("counting", [JOB_TYPE])
    running = asyncio.create_task(pool.run(stop))
    try:
        yield
    finally:
        stop.set()
        async with asyncio.timeout(20):
            await running
        await queue.close()
