"""A worker of the ledger: `python -m benchmarks.ledger.worker URL QUEUE DIRECTORY NAME`.

The real pool on the real queue; its processor writes down when it starts a job and when it has
finished one, before the verdict is on its way.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from benchmarks.ledger.books import Book
from benchmarks.ledger.settings import JOB_TYPE, SLOTS, queue_settings
from shared.errors import DependencyError
from shared.observability.metrics import MetricsTable
from shared.pool.processor import Execution
from shared.pool.retry_policy import RetryPolicy
from shared.pool.worker_pool import PoolMetrics, PoolSettings, WorkerPool
from shared.queue.factory import create_queue
from shared.queue.port import Queue
from shared.verdicts import Done, Settlement
from shared.work_source import Exchange, LeaseKeeper

SLOW_EVERY = 50
SLOW_SECONDS = 0.02
"""Some jobs take a while, so that there is always one at work when a worker is killed."""


class Numbered(msgspec.Struct, gc=False):
    """The payload: which job this is."""

    n: int


class WriteDown:
    """Works, and says so in the ledger."""

    job_type = JOB_TYPE
    payload_type = Numbered
    timeout_seconds = 30.0
    retry = RetryPolicy()

    def __init__(self, directory: Path, name: str) -> None:
        self._started = Book(directory, "started", name)
        self._executed = Book(directory, "executed", name)

    async def process(self, execution: Execution[Numbered]) -> Done:
        """Write down the start, work, write down the end."""
        number = execution.payload.n
        self._started.note(number)
        if number % SLOW_EVERY == 0:
            await asyncio.sleep(SLOW_SECONDS)
        self._executed.note(number)
        return Done()


class Watched:
    """A queue whose refusals are written down: settlements that a fence kept out."""

    def __init__(self, queue: Queue, book: Book) -> None:
        self._queue = queue
        self._book = book

    async def exchange(self, settled: Sequence[Settlement], want: int) -> Exchange:
        """See WorkSource.exchange."""
        answer = await self._queue.exchange(settled, want)
        if answer.refused:
            refused = set(answer.refused)
            late = [each.delivery for each in settled if each.delivery.token in refused]
            self._book.note_all([msgspec.json.decode(d.job.payload)["n"] for d in late])
        return answer

    async def wait(self, timeout: float) -> None:
        """See WorkSource.wait."""
        await self._queue.wait(timeout)

    def lease_keeper(self) -> LeaseKeeper:
        """See WorkSource.lease_keeper."""
        return self._queue.lease_keeper()

    async def close(self) -> None:
        """See WorkSource.close."""
        await self._queue.close()


async def main(url: str, queue_name: str, directory: str, name: str) -> None:
    """Work until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    queue = create_queue(queue_settings(queue_name), url)
    await _open(queue)
    watched = Watched(queue, Book(Path(directory), "refused", name))
    pool = WorkerPool(
        watched,
        [WriteDown(Path(directory), name)],
        settings=PoolSettings(workers=SLOTS),
        metrics=PoolMetrics(MetricsTable(), [JOB_TYPE]),
    )
    await pool.run(stop)
    await queue.close()


async def _open(queue: Queue) -> None:
    while True:
        try:
            return await queue.open("ledger", [JOB_TYPE])
        except DependencyError:  # the server is restarting
            await asyncio.sleep(0.1)


if __name__ == "__main__":
    import uvloop

    uvloop.run(main(*sys.argv[1:5]))
