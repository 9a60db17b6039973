"""Our worker, as anybody would write one: a processor, the queue, `run_worker`.

`python -m benchmarks.queue.apps.ours work PROCESSES` or `publish`.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time

import msgspec

from benchmarks.queue.apps.ledger import QUEUE, SLOTS, URL, Ledger, payload, to_publish
from benchmarks.queue.features import FEATURES
from shared.jobs import Job
from shared.observability.metrics import MetricsTable
from shared.pool.metrics import PoolMetrics
from shared.pool.processor import Execution
from shared.pool.retry_policy import RetryPolicy
from shared.pool.settings import PoolSettings
from shared.pool.worker_pool import WorkerPool
from shared.queue.factory import create_queue
from shared.queue.port import Queue, QueueSettings
from shared.settings import WorkerSettings
from shared.supervisor.worker import ProcessContext, WorkerParts, run_worker
from shared.verdicts import Done

KIND = "bench"
JOB_TYPES = ("noop",)
FEATURE = FEATURES[os.environ.get("BENCH_FEATURE", "")]
RESULT = {"ok": True} if FEATURE.with_result else None

forked_at = [0]
"""When this process was forked, by CLOCK_MONOTONIC in nanoseconds."""
os.register_at_fork(before=lambda: forked_at.append(time.monotonic_ns()))


class Payload(msgspec.Struct, gc=False):
    """Decoded and checked for each job."""

    n: int
    sleep_ms: int
    document_id: str
    source: str
    note: str


class Noop:
    """Marks the ledger."""

    job_type = JOB_TYPES[0]
    payload_type = Payload
    timeout_seconds = 30.0
    retry = RetryPolicy()

    def __init__(self) -> None:
        self._ledger = Ledger()

    async def process(self, execution: Execution[Payload]) -> Done:
        """Do one job."""
        await self._ledger.run(execution.payload.n, execution.payload.sleep_ms)
        return Done(RESULT)


class TellReady:
    """Says in the log how long it took from the fork until all parts ran."""

    async def run(self, stop: asyncio.Event) -> None:
        """Print, then wait for the end."""
        print(f"FORK_MS {(time.monotonic_ns() - forked_at[-1]) / 1e6:.2f}", flush=True)
        await stop.wait()


def queue() -> Queue:
    """Return the queue under test."""
    settings = QueueSettings(name=QUEUE, lease_seconds=10.0, lane_limits=FEATURE.lane_limits)
    return create_queue(settings, URL)


def work(processes: int) -> int:
    """Run the worker; return its exit code."""
    settings = WorkerSettings(workers=SLOTS, processes=processes, log_level="warning")
    table = MetricsTable()
    metrics = PoolMetrics(table, JOB_TYPES)

    async def build(_: ProcessContext) -> WorkerParts:
        source = queue()
        await source.open(KIND, JOB_TYPES)
        pool = WorkerPool(source, [Noop()], settings=PoolSettings(workers=SLOTS), metrics=metrics)
        return WorkerParts(pools=[pool], services=[TellReady()], close=source.close)

    return run_worker(KIND, settings, table, build)


async def publish() -> None:
    """Publish jobs that use the feature under test."""
    target = queue()
    for numbers in to_publish(1000):
        await target.publish([_job(n) for n in numbers])
    await target.close()


def _job(n: int) -> Job:
    return Job(type=JOB_TYPES[0], payload=msgspec.json.encode(payload(n)), **FEATURE.job(n))


if __name__ == "__main__":
    if sys.argv[1] == "work":
        sys.exit(work(int(sys.argv[2])))
    asyncio.run(publish())
