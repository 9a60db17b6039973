"""The pool on the real Redis queue: nothing is lost, nothing runs twice without a reason."""

from __future__ import annotations

import asyncio
from collections import Counter

import msgspec

from shared.jobs import new_job
from shared.observability.metrics import MetricsTable
from shared.pool.processor import Execution
from shared.pool.retry_policy import RetryPolicy
from shared.pool.worker_pool import PoolMetrics, PoolSettings, WorkerPool
from shared.queue.factory import create_queue
from shared.queue.port import Queue, QueueSettings
from shared.verdicts import Done, Verdict
from tests.services.servers import Redis

JOBS = 600


class Number(msgspec.Struct):
    n: int


class Ledger:
    """A processor that notes what it finished; every tenth job fails once."""

    job_type = "number"
    payload_type = Number
    timeout_seconds = 30.0
    retry = RetryPolicy(first_delay_seconds=0.01)

    def __init__(self) -> None:
        self.done: Counter[int] = Counter()
        self.failed: set[int] = set()
        self.news = asyncio.Event()

    async def process(self, execution: Execution[Number]) -> Verdict:
        await asyncio.sleep(0.02)
        n = execution.payload.n
        if n % 10 == 0 and n not in self.failed:
            self.failed.add(n)
            raise OSError("once")
        self.done[n] += 1
        self.news.set()
        return Done()

    async def reaches(self, count: int) -> None:
        async with asyncio.timeout(40):
            while len(self.done) < count:
                self.news.clear()
                await self.news.wait()


async def started(queue: Queue, ledger: Ledger, stop: asyncio.Event) -> asyncio.Task[None]:
    table = MetricsTable()
    pool = WorkerPool(
        queue,
        [ledger],
        settings=PoolSettings(workers=10, sweep_seconds=0.02),
        metrics=PoolMetrics(table, ["number"]),
    )
    await queue.open("test", ["number"])
    return asyncio.create_task(pool.run(stop))


async def test_a_restarted_server_costs_nothing(redis7_server: Redis) -> None:
    queue = create_queue(QueueSettings(name="numbers", lease_seconds=5), redis7_server.url)
    await queue.publish([new_job("number", Number(n)) for n in range(JOBS)])
    ledger, stop = Ledger(), asyncio.Event()
    running = await started(queue, ledger, stop)
    await ledger.reaches(JOBS // 4)
    await asyncio.to_thread(redis7_server.restart)
    await ledger.reaches(JOBS)
    stop.set()
    async with asyncio.timeout(20):
        await running
    depth = await queue.depth()
    await queue.close()
    assert (depth.ready, depth.delayed, depth.leased, depth.dead) == (0, 0, 0, 0)
    assert set(ledger.done) == set(range(JOBS))


async def test_pools_that_stop_in_full_work_lose_nothing_and_spend_no_attempt(
    redis_url: str,
) -> None:
    settings = QueueSettings(name="numbers")
    producer = create_queue(settings, redis_url)
    await producer.publish([new_job("number", Number(n)) for n in range(JOBS)])
    ledger = Ledger()
    for target in (JOBS // 4, JOBS // 2, JOBS):
        queue, stop = create_queue(settings, redis_url), asyncio.Event()
        running = await started(queue, ledger, stop)
        await ledger.reaches(target)
        stop.set()
        async with asyncio.timeout(20):
            await running
        await queue.close()
        depth = await producer.depth()
        assert depth.leased == 0
        assert depth.ready + depth.delayed == JOBS - len(ledger.done)
    await producer.close()
    assert ledger.done == Counter(range(JOBS))
