"""Our worker, as anybody would write one: a processor, and `run_queue_worker`.

`python -m benchmarks.queue.apps.ours work` or `publish`.
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
from shared.pool.processor import Execution
from shared.pool.retry_policy import RetryPolicy
from shared.queue.factory import create_queue
from shared.queue.port import QueueSettings
from shared.queue_worker import run_queue_worker
from shared.verdicts import Done

JOB_TYPE = "noop"
FEATURE = FEATURES[os.environ["BENCH_FEATURE"]]
SETTINGS = QueueSettings(name=QUEUE, lease_seconds=10.0, lane_limits=FEATURE.lane_limits)
RESULT = {"ok": True} if FEATURE.with_result else None

forked_at = 0
"""When this process was forked, by CLOCK_MONOTONIC in nanoseconds."""


def _note_fork() -> None:
    global forked_at
    forked_at = time.monotonic_ns()


os.register_at_fork(before=_note_fork)


class Payload(msgspec.Struct, gc=False):
    """Decoded and checked for each job."""

    n: int
    sleep_ms: int
    document_id: str
    source: str
    note: str


class Noop:
    """Marks the ledger; the first job of a process tells how long it took from its fork."""

    job_type = JOB_TYPE
    payload_type = Payload
    timeout_seconds = 30.0
    retry = RetryPolicy()

    def __init__(self) -> None:
        self._ledger = Ledger()
        self._begun = False

    async def process(self, execution: Execution[Payload]) -> Done:
        """Do one job."""
        if not self._begun:
            self._begin()
        await self._ledger.run(execution.payload.n, execution.payload.sleep_ms)
        return Done(RESULT)

    def _begin(self) -> None:
        self._begun = True
        told = f"FORK_MS {(time.monotonic_ns() - forked_at) / 1e6:.2f}\n"
        print(told, end="", flush=True)  # one write: the processes share the file


class NoopInThreads:
    """Marks the ledger from a thread."""

    job_type = JOB_TYPE
    payload_type = Payload
    timeout_seconds = 30.0
    retry = RetryPolicy()

    def __init__(self) -> None:
        self._ledger = Ledger()

    def process(self, execution: Execution[Payload]) -> Done:
        """Do one job."""
        self._ledger.run_in_thread(execution.payload.n, execution.payload.sleep_ms)
        return Done(RESULT)


def work() -> int:
    """Run the worker; return its exit code."""
    processor = NoopInThreads() if FEATURE.in_threads else Noop()
    environment = {
        "QUEUE_URL": URL,
        "WORKERS": str(SLOTS),
        "PROCESSES": os.environ["BENCH_PROCESSES"],
        "METRICS_PORT": "0",
    }
    return run_queue_worker(
        "bench", SETTINGS, [processor], middleware=FEATURE.middleware(), environ=environment
    )


async def publish() -> None:
    """Publish jobs that use the feature under test."""
    target = create_queue(SETTINGS, URL)
    for numbers in to_publish(1000):
        await target.publish([_job(n) for n in numbers])
    await target.close()


def _job(n: int) -> Job:
    return Job(type=JOB_TYPE, payload=msgspec.json.encode(payload(n)), **FEATURE.job(n))


if __name__ == "__main__":
    if sys.argv[1] == "work":
        sys.exit(work())
    asyncio.run(publish())
