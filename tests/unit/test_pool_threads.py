"""Processors that are plain functions run in threads, which nobody can kill."""

from __future__ import annotations

import asyncio
import io
import json
import threading
from contextvars import ContextVar

import pytest

from shared.clock import FrozenClock
from shared.observability import logs
from shared.verdicts import Done, HandBack, Retry
from tests.unit.pool_source import Batcher, DirectedSource, ThreadWorker, delivery, pool_on

PATIENCE = 30.0


class Blocker:
    """Work that blocks its thread until the test lets it go."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.begun = asyncio.Event()
        self.ended = asyncio.Event()
        self.let_go = threading.Event()
        self.threads: list[threading.Thread] = []

    def work(self, execution):
        self.threads.append(threading.current_thread())
        if execution.payload.name:
            return Done()
        self.loop.call_soon_threadsafe(self.begun.set)
        self.let_go.wait(PATIENCE)
        self.loop.call_soon_threadsafe(self.ended.set)
        return Done()


NAMED = b'{"name": "quick"}'


async def test_functions_block_threads_and_not_the_loop() -> None:
    everyone = threading.Barrier(5)  # passed only when four jobs and the loop are there at once

    def work(_):
        everyone.wait(PATIENCE)
        return Done()

    jobs = [delivery() for _ in range(4)]
    source = DirectedSource(*jobs)
    async with pool_on(source, ThreadWorker(work), workers=4) as bench:
        while everyone.n_waiting < 4:
            await asyncio.sleep(0.001)
        assert bench.count("worker_slots_busy") == 4
        everyone.wait(PATIENCE)
        for job in jobs:
            assert await source.verdict_of(job) == Done()


async def test_threads_are_used_again() -> None:
    blocker = Blocker()
    jobs = [delivery(payload=NAMED) for _ in range(20)]
    source = DirectedSource(*jobs)
    async with pool_on(source, ThreadWorker(blocker.work), workers=2):
        for job in jobs:
            assert await source.verdict_of(job) == Done()
    assert 1 <= len(set(blocker.threads)) <= 2
    for thread in blocker.threads:
        await asyncio.to_thread(thread.join, PATIENCE)
        assert not thread.is_alive()  # they end with the pool


@pytest.mark.parametrize("error", [ValueError("odd"), SystemExit(3), StopIteration(1)])
async def test_what_a_function_raises_is_a_retry(error: BaseException) -> None:
    def work(_):
        raise error

    job = delivery()
    source = DirectedSource(job)
    async with pool_on(source, ThreadWorker(work)):
        assert isinstance(await source.verdict_of(job), Retry)


async def test_a_timeout_frees_the_slot_and_counts_the_thread_as_abandoned() -> None:
    said = io.StringIO()
    logs.configure("info", "json", stream=said)
    clock, blocker = FrozenClock(), Blocker()
    hanging, next_job = delivery(), delivery(payload=NAMED)
    source = DirectedSource(hanging)
    worker = ThreadWorker(blocker.work, timeout_seconds=5)
    async with pool_on(source, worker, clock=clock, workers=1) as bench:
        await blocker.begun.wait()
        clock.advance(5)
        verdict = await source.verdict_of(hanging)
        assert isinstance(verdict, Retry)
        assert verdict.error == "TimeoutError: job took longer than 5 s"
        assert bench.count("worker_jobs_abandoned_total", "work") == 1
        source.add(next_job)  # the only slot is free, and has another thread
        assert await source.verdict_of(next_job) == Done()
        blocker.let_go.set()
        await blocker.ended.wait()
        assert bench.count("worker_jobs_processed_total", "work", "success") == 1
    assert isinstance(source.settled[hanging.token], Retry)
    logs.configure("info")
    record = json.loads(said.getvalue().splitlines()[0])
    assert record["event"] == "job_abandoned"
    assert record["in_thread"] is True


async def test_a_stop_does_not_wait_for_a_thread_that_hangs() -> None:
    clock, blocker, job = FrozenClock(), Blocker(), delivery()
    source = DirectedSource(job)
    async with pool_on(source, ThreadWorker(blocker.work), clock=clock, grace_seconds=25) as bench:
        await blocker.begun.wait()
        bench.stop.set()
        await asyncio.sleep(0.02)
        assert not bench.task.done()
        clock.advance(25)
        await bench.stopped()
        assert source.settled == {job.token: HandBack()}
        assert bench.count("worker_jobs_abandoned_total", "work") == 1
        assert blocker.threads[0].is_alive()
        assert blocker.threads[0].daemon  # nor does the end of the process
        blocker.let_go.set()
        await blocker.ended.wait()


async def test_a_lost_lease_frees_the_slot() -> None:
    blocker, job, other = Blocker(), delivery(), delivery(payload=NAMED)
    source = DirectedSource(job)
    async with pool_on(source, ThreadWorker(blocker.work), workers=1):
        await blocker.begun.wait()
        await asyncio.to_thread(source.lose, [job.token])
        source.add(other)
        assert await source.verdict_of(other) == Done()
        blocker.let_go.set()
        await blocker.ended.wait()
    assert job.token not in source.settled


async def test_a_batch_function_runs_in_a_thread_too() -> None:
    seen = []

    class ThreadBatcher(Batcher):
        def process_batch(self, batch):
            seen.append((len(batch), threading.current_thread() is threading.main_thread()))
            return [Done()] * len(batch)

    jobs = [delivery(), delivery(), delivery()]
    source = DirectedSource(*jobs)
    async with pool_on(source, ThreadBatcher(None)):
        for job in jobs:
            assert await source.verdict_of(job) == Done()
    assert seen == [(3, False)]


async def test_middleware_hands_its_context_to_the_thread() -> None:
    name: ContextVar[str] = ContextVar("name")

    def work(_):
        return Done(name.get())

    async def middleware(execution, call_next):
        name.set("from the loop")
        return await call_next(execution)

    job = delivery()
    source = DirectedSource(job)
    async with pool_on(source, ThreadWorker(work), middleware=[middleware]):
        assert await source.verdict_of(job) == Done("from the loop")
