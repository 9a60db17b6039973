"""Tests of your own processors: a whole queue and pool in memory, where waiting takes no time.

A test publishes jobs and lets them run until nothing is left to do. Time stands still while jobs
run, and jumps to whatever is due next: a retry in an hour is tried at once.

>>> import asyncio, msgspec
>>> from shared.jobs import new_job
>>> from shared.pool.retry_policy import RetryPolicy
>>> from shared.verdicts import Done, Snooze

>>> class Mail(msgspec.Struct):
...     to: str

>>> class SendMail:
...     job_type = "send_mail"
...     payload_type = Mail
...     timeout_seconds = 30.0
...     retry = RetryPolicy(max_attempts=3, first_delay_seconds=60)
...
...     async def process(self, execution):
...         if execution.delivery.attempt < 3:
...             raise ConnectionError("the mail server is busy")
...         return Done(f"sent to {execution.payload.to}")

>>> async def test_mail_is_sent_at_the_third_attempt():
...     async with JobBench(SendMail()) as bench:
...         job = new_job("send_mail", {"to": "ada@example.org"}, delay_seconds=3600)
...         await bench.publish(job)
...         await bench.run_until_idle()
...         assert [type(each).__name__ for each in bench.verdicts(job)] == [
...             "Retry", "Retry", "Done"
...         ]
...         assert bench.verdicts(job)[-1] == Done("sent to ada@example.org")
...         assert bench.seconds_passed >= 3600
...         assert not await bench.dead_letters()

>>> asyncio.run(test_mail_is_sent_at_the_third_attempt())
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from shared.clock import FrozenClock
from shared.jobs import Job
from shared.observability.metrics import MetricsTable
from shared.pool.middleware import Middleware
from shared.pool.processor import AnyProcessor
from shared.pool.worker_pool import PoolMetrics, PoolSettings, WorkerPool
from shared.queue.administration import DeadLetterRecord
from shared.queue.memory.admin import MemoryQueueAdmin
from shared.queue.memory.broker import MemoryBroker
from shared.queue.memory.queue import MemoryQueue
from shared.queue.port import Published, QueueSettings
from shared.verdicts import Settlement, Verdict
from shared.work_source import Exchange, LeaseKeeper

MANY_YEARS_SECONDS = 1e9
"""No lease ends because a test moves its clock."""
SHORTEST_JUMP_SECONDS = 0.001
"""The time of day in a float is not exact enough for much less."""


class JobBench:
    """Processors on a queue in memory, with a clock that only it and the test move.

    To be used with `async with`; leaving it stops the pool. Give each test a bench of its own.
    """

    def __init__(
        self,
        *processors: AnyProcessor,
        middleware: Sequence[Middleware] = (),
        workers: int = 10,
    ) -> None:
        self.clock = FrozenClock()
        """Moves on in `run_until_idle`; a test may `advance` it, say past a job's timeout."""
        self._began = self.clock.monotonic()
        self._broker = MemoryBroker()
        settings = QueueSettings(name="bench", lease_seconds=MANY_YEARS_SECONDS)
        self.queue = MemoryQueue(settings, self._broker, clock=self.clock)
        """The queue itself, for code that publishes."""
        self._source = _Source(self.queue, self._broker, self.clock)
        self._types = [each.job_type for each in processors]
        self._pool = WorkerPool(
            self._source,
            processors,
            settings=PoolSettings(workers=workers, sweep_seconds=0.01),
            metrics=PoolMetrics(MetricsTable(), self._types),
            middleware=middleware,
            clock=self.clock,
        )
        self._stop = asyncio.Event()
        self._running: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Start the pool, which does nothing before `run_until_idle`."""
        await self.queue.open("bench", self._types)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Cancel what still runs, and stop."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
        await self.queue.close()

    @property
    def seconds_passed(self) -> float:
        """How far the clock has moved since the bench was made."""
        return self.clock.monotonic() - self._began

    async def publish(self, *jobs: Job) -> Published:
        """Publish jobs, as `Queue.publish`."""
        return await self.queue.publish(jobs)

    def push(self, message: bytes) -> None:
        """Push a message as a program in another language would (LPUSH)."""
        self._broker.push(message)

    async def run_until_idle(self, patience_seconds: float = 10.0) -> None:
        """Run jobs, and jump to what is due next, until nothing waits and nothing runs.

        Raises TimeoutError when a job is still running after so many seconds of real time, and
        whatever ends the pool.
        """
        if self._running is None:
            self._running = asyncio.create_task(self._pool.run(self._stop))
        self._source.idle.clear()
        self._broker.tell()
        idle = asyncio.create_task(self._source.idle.wait())
        either: set[asyncio.Task[Any]] = {idle, self._running}
        await asyncio.wait(either, timeout=patience_seconds, return_when=asyncio.FIRST_COMPLETED)
        idle.cancel()
        if self._running.done():
            self._running.result()
        if not self._source.idle.is_set():
            raise TimeoutError(
                f"still running after {patience_seconds:g} s: {self._source.running()}; a job "
                "that waits for its own timeout needs clock.advance()"
            )

    def verdicts(self, job: Job) -> list[Verdict]:
        """Return the verdict of each execution of a job, in order."""
        return [each.verdict for each in self.settled if each.delivery.job.key == job.key]

    @property
    def settled(self) -> list[Settlement]:
        """All verdicts, in the order in which they reached the queue."""
        return self._source.settled

    async def dead_letters(self) -> Sequence[DeadLetterRecord]:
        """Return what will not be tried again."""
        return await MemoryQueueAdmin(self._broker, clock=self.clock).dead_letters()


class _Source:
    """The queue as the pool sees it; where the pool would wait, it moves the clock instead."""

    def __init__(self, queue: MemoryQueue, broker: MemoryBroker, clock: FrozenClock) -> None:
        self._queue = queue
        self._broker = broker
        self._clock = clock
        self._news = asyncio.Event()
        self.idle = asyncio.Event()
        self.settled: list[Settlement] = []
        broker.listeners.add(self._news.set)

    async def exchange(self, settled: Sequence[Settlement], want: int) -> Exchange:
        answer = await self._queue.exchange(settled, want)
        self.settled.extend(settled)
        self._news.set()
        return answer

    async def wait(self, timeout: float) -> None:
        while True:
            self._news.clear()
            depth = await self._queue.depth()
            if depth.ready or depth.inbox:
                return
            if not depth.leased:
                if depth.delayed:
                    due = self._broker.next_due(self._clock.wall()) or 0.0
                    self._clock.advance(max(due, SHORTEST_JUMP_SECONDS))
                    return
                self.idle.set()
            await self._news.wait()

    def running(self) -> str:
        """Name the jobs that run."""
        jobs = [each.job for each in self._broker.leased.values() if each.job]
        return ", ".join(f"{job.type} {job.id or job.key}" for job in jobs) or "nothing"

    def lease_keeper(self) -> LeaseKeeper:
        return self._queue.lease_keeper()

    async def close(self) -> None:
        await self._queue.close()
