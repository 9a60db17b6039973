"""Timeouts, jobs that ignore them, and leases that are lost. Time is frozen and moved by hand."""

from __future__ import annotations

import asyncio

from shared.clock import FrozenClock
from shared.verdicts import Deferred, Done, Retry
from tests.unit.pool_source import Batcher, DirectedSource, Worker, delivery, pool_on


class Sleeper:
    """Work that sleeps until it is cancelled or let go, and tells what happened to it."""

    def __init__(self, ignores_cancellation: bool = False) -> None:
        self.begun = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.let_go = asyncio.Event()
        self._ignores = ignores_cancellation

    async def work(self, execution):
        if execution.payload.name:
            return Done()
        self.begun.set()
        while True:
            try:
                await self.let_go.wait()
            except asyncio.CancelledError:
                self.cancelled.set()
                if not self._ignores:
                    raise
            else:
                return Done()

    async def work_batch(self, batch):
        return [await self.work(batch[0])] * len(batch)


NAMED = b'{"name": "quick"}'


async def test_a_timeout_cancels_and_spends_an_attempt() -> None:
    clock, sleeper, job = FrozenClock(), Sleeper(), delivery()
    source = DirectedSource(job)
    async with pool_on(source, Worker(sleeper.work, timeout_seconds=5), clock=clock) as bench:
        await sleeper.begun.wait()
        clock.advance(4.9)
        await asyncio.sleep(0.05)  # several sweeps see no reason to act
        assert not sleeper.cancelled.is_set()
        clock.advance(0.2)
        verdict = await source.verdict_of(job)
        assert bench.count("worker_jobs_processed_total", "work", "failure") == 1
        assert bench.count("worker_slots_busy") == 0
    assert isinstance(verdict, Retry)
    assert verdict.error == "TimeoutError: job took longer than 5 s"


async def test_a_job_that_ignores_its_timeout_is_abandoned_and_its_slot_replaced() -> None:
    clock, sleeper = FrozenClock(), Sleeper(ignores_cancellation=True)
    stubborn, next_job = delivery(), delivery(payload=NAMED)
    source = DirectedSource(stubborn)
    worker = Worker(sleeper.work, timeout_seconds=5)
    async with pool_on(source, worker, clock=clock, workers=1) as bench:
        await sleeper.begun.wait()
        clock.advance(5)
        await sleeper.cancelled.wait()
        assert stubborn.token not in source.settled
        assert bench.count("worker_slots_busy") == 1
        clock.advance(5)
        assert isinstance(await source.verdict_of(stubborn), Retry)
        assert bench.count("worker_jobs_abandoned_total", "work") == 1
        source.add(next_job)
        assert await source.verdict_of(next_job) == Done()
        sleeper.let_go.set()  # its late verdict must not be settled a second time
    assert isinstance(source.settled[stubborn.token], Retry)
    assert bench.count("worker_slots_busy") == 0


async def test_lingering_does_not_count_against_the_timeout() -> None:
    clock, sleeper, job = FrozenClock(), Sleeper(), delivery()
    batcher = Batcher(sleeper.work_batch, batch_size=2, linger_seconds=0.1)
    batcher.timeout_seconds = 5.0
    source = DirectedSource(job)
    async with pool_on(source, batcher, clock=clock):
        async with source.changed:
            await source.changed.wait_for(lambda: source.held)
        clock.advance(60)  # while it lingers
        await sleeper.begun.wait()
        await asyncio.sleep(0.05)
        assert not sleeper.cancelled.is_set()
        sleeper.let_go.set()
        assert await source.verdict_of(job) == Done()


async def test_a_deferred_verdict_that_never_comes_times_out() -> None:
    clock, job = FrozenClock(), delivery()
    commit: asyncio.Future = asyncio.get_running_loop().create_future()
    deferred = asyncio.Event()

    async def work(_):
        deferred.set()
        return Deferred(commit)

    source = DirectedSource(job)
    async with pool_on(source, Worker(work, timeout_seconds=5), clock=clock):
        await deferred.wait()
        await asyncio.sleep(0)
        clock.advance(5)
        verdict = await source.verdict_of(job)
        commit.set_result(Done())  # too late, and harmless
    assert isinstance(verdict, Retry)
    assert "deferred verdict took longer than 5 s" in verdict.error


async def test_a_lease_is_renewed_until_the_deadline_plus_the_time_to_settle() -> None:
    clock, sleeper, job = FrozenClock(), Sleeper(), delivery()
    source = DirectedSource(job)
    worker = Worker(sleeper.work, timeout_seconds=5)
    times = {"cancel_grace_seconds": 2.0, "settle_seconds": 10.0}
    async with pool_on(source, worker, clock=clock, **times):
        await sleeper.begun.wait()
        assert source.held == {job.token: clock.monotonic() + 17.0}
        sleeper.let_go.set()
        await source.verdict_of(job)
        assert source.held == {}


async def test_a_job_that_has_not_started_keeps_its_lease() -> None:
    clock, job = FrozenClock(), delivery()
    batcher = Batcher(Sleeper().work_batch, batch_size=2, linger_seconds=60)
    batcher.timeout_seconds = 5.0
    source = DirectedSource(job)
    times = {"cancel_grace_seconds": 2.0, "settle_seconds": 10.0}
    async with pool_on(source, batcher, clock=clock, **times):
        async with source.changed:
            await source.changed.wait_for(lambda: source.held)
        assert source.held == {job.token: clock.monotonic() + 60.0 + 17.0}


async def test_a_deferred_job_gets_its_time_again() -> None:
    clock, job, go = FrozenClock(), delivery(), asyncio.Event()
    commit: asyncio.Future = asyncio.get_running_loop().create_future()

    async def work(_):
        await go.wait()
        return Deferred(commit)

    source = DirectedSource(job)
    times = {"cancel_grace_seconds": 2.0, "settle_seconds": 10.0}
    async with pool_on(source, Worker(work, timeout_seconds=5), clock=clock, **times) as bench:
        while not bench.count("worker_slots_busy"):
            await asyncio.sleep(0)
        clock.advance(3)
        go.set()
        while bench.count("worker_slots_busy"):
            await asyncio.sleep(0)
        assert source.held == {job.token: clock.monotonic() + 17.0}
        commit.set_result(Done())
        assert await source.verdict_of(job) == Done()


async def test_a_lost_lease_cancels_the_job_and_drops_its_verdict() -> None:
    sleeper, lost, other = Sleeper(), delivery(), delivery(payload=NAMED)
    source = DirectedSource(lost)
    async with pool_on(source, Worker(sleeper.work), workers=1) as bench:
        await sleeper.begun.wait()
        await asyncio.to_thread(source.lose, [lost.token, "settled-long-ago"])
        await sleeper.cancelled.wait()
        source.add(other)
        assert await source.verdict_of(other) == Done()
        assert bench.count("worker_leases_lost_total") == 1
    assert lost.token not in source.settled


async def test_a_batch_loses_only_the_jobs_whose_lease_is_lost() -> None:
    sleeper, lost, kept = Sleeper(), delivery(), delivery()
    source = DirectedSource(lost, kept)
    async with pool_on(source, Batcher(sleeper.work_batch, batch_size=2)):
        await sleeper.begun.wait()
        await asyncio.to_thread(source.lose, [lost.token])
        sleeper.let_go.set()
        assert await source.verdict_of(kept) == Done()
    assert lost.token not in source.settled
    assert not sleeper.cancelled.is_set()


async def test_refused_verdicts_are_counted() -> None:
    job = delivery()

    async def work(_):
        return Done()

    source = DirectedSource(job)
    source.refuse.add(job.token)
    async with pool_on(source, Worker(work)) as bench:
        await source.verdict_of(job)
    assert bench.count("worker_settlements_refused_total") == 1
