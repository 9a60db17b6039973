"""A work source that does what a test tells it to, and a pool on it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from shared.clock import Clock, FrozenClock
from shared.errors import ConnectionLostError
from shared.jobs import Delivery, Job
from shared.observability.metrics import MetricsTable
from shared.pool.processor import Execution
from shared.pool.retry_policy import RetryPolicy
from shared.pool.worker_pool import PoolMetrics, PoolSettings, WorkerPool
from shared.verdicts import Deferred, Settlement, Verdict
from shared.work_source import Exchange

DEADLINE_SECONDS = 30.0
_numbers = iter(range(1_000_000))


def delivery(job_type: str = "work", payload: bytes = b"{}", **more: Any) -> Delivery:
    number = next(_numbers)
    job = Job(type=job_type, payload=payload, key=f"key-{number}", id=f"id-{number}")
    return Delivery(job=job, token=f"token-{number}", **more)


class Payload(msgspec.Struct):
    name: str = ""


class DirectedSource:
    """Hands out what it was given; keeps every call, every verdict and the pool's leases."""

    def __init__(self, *deliveries: Delivery) -> None:
        self.waiting = deque(deliveries)
        self.calls: list[tuple[list[Settlement], int]] = []
        self.settled: dict[str, Verdict] = {}
        self.refuse: set[str] = set()
        self.failures = 0
        self.held: Mapping[str, float] = {}
        self.lose: Callable[[Collection[str]], None] = lambda _: None
        self.keeping = False
        self.changed = asyncio.Condition()
        self._news = asyncio.Event()

    async def exchange(self, settled: Sequence[Settlement], want: int) -> Exchange:
        self.calls.append((list(settled), want))
        if self.failures:
            self.failures -= 1
            raise ConnectionLostError("cut")
        refused = [s.delivery.token for s in settled if s.delivery.token in self.refuse]
        for s in settled:
            assert s.delivery.token not in self.settled, "settled twice"
            self.settled[s.delivery.token] = s.verdict
        found = [self.waiting.popleft() for _ in range(min(want, len(self.waiting)))]
        async with self.changed:
            self.changed.notify_all()
        return Exchange(deliveries=found, refused=refused)

    def add(self, *deliveries: Delivery) -> None:
        self.waiting.extend(deliveries)
        self._news.set()

    async def wait(self, timeout: float) -> None:
        self._news.clear()
        if not self.waiting:
            await asyncio.wait({asyncio.ensure_future(self._news.wait())}, timeout=timeout)

    def lease_keeper(self) -> DirectedSource:
        return self

    def start(self, held: Mapping[str, float], on_lost: Callable[[Collection[str]], None]) -> None:
        self.held, self.lose, self.keeping = held, on_lost, True

    def stop(self) -> None:
        self.keeping = False

    async def close(self) -> None:
        pass

    async def verdict_of(self, wanted: Delivery) -> Verdict:
        async with asyncio.timeout(DEADLINE_SECONDS), self.changed:
            await self.changed.wait_for(lambda: wanted.token in self.settled)
        return self.settled[wanted.token]


class Worker:
    """A processor whose work is a function given by the test."""

    job_type = "work"
    payload_type = Payload
    retry = RetryPolicy(max_attempts=3)

    def __init__(
        self,
        work: Callable[[Execution[Payload]], Awaitable[Verdict | Deferred]],
        timeout_seconds: float = 30.0,
    ) -> None:
        self._work = work
        self.timeout_seconds = timeout_seconds

    async def process(self, execution: Execution[Payload]) -> Verdict | Deferred:
        return await self._work(execution)


class ThreadWorker(Worker):
    """A processor that is a plain function given by the test."""

    def process(self, execution: Execution[Payload]) -> Any:  # type: ignore[override]
        return self._work(execution)


class Batcher:
    """A batch processor whose work is a function given by the test."""

    job_type = "work"
    payload_type = Payload
    retry = RetryPolicy(max_attempts=3)
    timeout_seconds = 30.0

    def __init__(self, work: Any, batch_size: int = 3, linger_seconds: float = 0.0) -> None:
        self._work = work
        self.batch_size = batch_size
        self.linger_seconds = linger_seconds

    async def process_batch(self, batch: Sequence[Execution[Payload]]) -> Sequence[Any]:
        return await self._work(batch)


class Bench:
    """A running pool and what surrounds it."""

    def __init__(self, source: DirectedSource, clock: Clock | None, table: MetricsTable) -> None:
        self.source = source
        self.clock = clock
        self.table = table
        self.stop = asyncio.Event()
        self.task: asyncio.Task[None]
        self.pool: WorkerPool

    async def stopped(self) -> None:
        self.stop.set()
        async with asyncio.timeout(DEADLINE_SECONDS):
            await self.task

    def count(self, name: str, *labels: str) -> float:
        metric = next(metric for metric in self.table.metrics if metric.name == name)
        return self.table.total(metric.cell(*labels).at)


@asynccontextmanager
async def pool_on(
    source: DirectedSource,
    *processors: Any,
    clock: FrozenClock | None = None,
    middleware: Sequence[Any] = (),
    **settings: Any,
) -> AsyncIterator[Bench]:
    """Run a pool on a source; leaving stops it, and fails when the pool failed."""
    table = MetricsTable()
    metrics = PoolMetrics(table, sorted({p.job_type for p in processors}))
    bench = Bench(source, clock, table)
    chosen = PoolSettings(**({"sweep_seconds": 0.01, "workers": 4} | settings))
    bench.pool = WorkerPool(
        source,
        list(processors),
        settings=chosen,
        metrics=metrics,
        middleware=middleware,
        clock=clock,
    )
    bench.task = asyncio.create_task(bench.pool.run(bench.stop))
    try:
        yield bench
    finally:
        if not bench.task.done():
            await bench.stopped()
    await bench.task
