"""A worker as its users run one, for the tests of the supervisor: `python -m ... [flags]`.

Its jobs sleep, write a line to LEDGER when they end, and can be told to misbehave.
"""

from __future__ import annotations

import asyncio
import errno
import os
import sys
from pathlib import Path

import msgspec

from shared.config import load
from shared.errors import DependencyError
from shared.jobs import new_job
from shared.observability.metrics import MetricsTable
from shared.pool.processor import Execution
from shared.pool.retry_policy import RetryPolicy
from shared.pool.worker_pool import PoolMetrics, PoolSettings, WorkerPool
from shared.queue.memory.queue import MemoryQueue, shared_broker
from shared.queue.port import QueueSettings
from shared.settings import WorkerSettings
from shared.supervisor.worker import ProcessContext, WorkerParts, run_worker
from shared.verdicts import Done


class Nap(msgspec.Struct):
    seconds: float
    name: str


class NapProcessor:
    job_type = "nap"
    payload_type = Nap
    timeout_seconds = 30.0
    retry = RetryPolicy()

    def __init__(self, index: int) -> None:
        self._index = index
        self._leak: list[bytearray] = []

    async def process(self, execution: Execution[Nap]) -> Done:
        nap = execution.payload
        _write(f"started {nap.name} {self._index} {os.getpid()}")
        self._leak += [bytearray(int(os.environ.get("LEAK_MB", "0")) << 20)]
        await asyncio.sleep(nap.seconds)
        _write(f"ended {nap.name} {self._index} {os.getpid()}")
        return Done()

    async def spin(self) -> None:
        while True:
            sum(range(10_000))
            await asyncio.sleep(0)


def echo(channel) -> None:  # type: ignore[no-untyped-def]
    """A helper process."""
    while data := channel.recv(100):
        channel.sendall(data.upper())


def _write(line: str) -> None:
    with Path(os.environ["LEDGER"]).open("a") as ledger:
        ledger.write(line + "\n")


def _make_forks_fail_when_told() -> None:
    """Let the fork server fail to fork, as on a full machine, by NO_FORKS or a file."""
    fork, supervisor = os.fork, os.getpid()

    def refusing() -> int:
        told = os.environ.get("NO_FORKS") or Path(os.environ["LEDGER"] + ".no-forks").exists()
        if told and os.getpid() != supervisor:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return fork()

    os.fork = refusing


def main() -> int:
    _make_forks_fail_when_told()
    settings = load(WorkerSettings, flags={}, environ=os.environ).settings
    table = MetricsTable()
    metrics = PoolMetrics(table, ["nap"])

    async def build(context: ProcessContext) -> WorkerParts:
        if os.environ.get("BREAK") or Path(os.environ["LEDGER"] + ".broken").exists():
            _write(f"broken {context.index}")
            raise DependencyError("the database is not there")
        queue = MemoryQueue(QueueSettings(name="naps"), shared_broker("naps"))
        await queue.open("test", ["nap"])
        for word in os.environ.get("NAPS", "").split():
            await queue.publish([new_job("nap", Nap(float(word), f"{context.index}:{word}"))])
        helper = await context.fork_server.spawn("tests.integration.supervised_program:echo")
        _write(f"helper {context.index} {helper.pid}")
        processor = NapProcessor(context.index)
        spinning = asyncio.create_task(processor.spin()) if os.environ.get("SPIN") else None
        pool_settings = PoolSettings(workers=settings.workers, grace_seconds=settings.grace_seconds)
        pool = WorkerPool(queue, [processor], settings=pool_settings, metrics=metrics)
        _write(f"loaded {context.index} {'colorsys' in sys.modules}")
        _write(f"built {context.index} {os.getpid()}")

        async def probe() -> None:
            if Path(os.environ["LEDGER"] + ".unready").exists():
                raise ConnectionRefusedError("queue away")

        async def close() -> None:
            helper.channel.close()
            if spinning is not None:
                spinning.cancel()
            depth = await queue.depth()
            _write(f"closed {context.index} ready={depth.ready} leased={depth.leased}")

        return WorkerParts(pools=[pool], probes={"queue": probe}, close=close)

    return run_worker("test", settings, table, build, preload=["colorsys"])


if __name__ == "__main__":
    sys.exit(main())
