"""An orderly stop, and a work source that goes away."""

from __future__ import annotations

import asyncio

import pytest

from shared.clock import FrozenClock
from shared.errors import ConnectionLostError, DependencyError
from shared.verdicts import Deferred, Done, HandBack, Snooze
from tests.unit.pool_source import Batcher, DirectedSource, Worker, delivery, pool_on
from tests.unit.test_pool_deadlines import Sleeper


async def test_running_jobs_finish_within_the_grace_time_and_nothing_is_claimed() -> None:
    sleeper, running, waiting = Sleeper(), delivery(), delivery()
    source = DirectedSource(running)
    async with pool_on(source, Worker(sleeper.work)) as bench:
        await sleeper.begun.wait()
        bench.stop.set()
        await asyncio.sleep(0)
        source.add(waiting)
        calls = len(source.calls)
        await asyncio.sleep(0.05)
        assert not bench.task.done()
        sleeper.let_go.set()
        await bench.stopped()
    assert source.settled == {running.token: Done()}
    assert all(want == 0 for _, want in source.calls[calls:])
    assert not source.keeping
    assert bench.count("worker_slots") == 0


async def test_after_the_grace_time_jobs_are_cancelled_and_handed_back() -> None:
    clock, sleeper, job = FrozenClock(), Sleeper(), delivery()
    source = DirectedSource(job)
    async with pool_on(source, Worker(sleeper.work), clock=clock, grace_seconds=25) as bench:
        await sleeper.begun.wait()
        bench.stop.set()
        await asyncio.sleep(0.05)
        assert not sleeper.cancelled.is_set()
        clock.advance(25)
        await bench.stopped()
    assert sleeper.cancelled.is_set()
    assert source.settled == {job.token: HandBack()}
    assert bench.count("worker_jobs_processed_total", "work", "failure") == 0


async def test_what_ignores_its_cancellation_is_handed_back_too() -> None:
    clock, sleeper, job = FrozenClock(), Sleeper(ignores_cancellation=True), delivery()
    source = DirectedSource(job)
    async with pool_on(source, Worker(sleeper.work), clock=clock) as bench:
        await sleeper.begun.wait()
        bench.stop.set()
        await asyncio.sleep(0.02)
        clock.advance(25)
        await sleeper.cancelled.wait()
        clock.advance(5)
        await bench.stopped()
        assert bench.count("worker_jobs_abandoned_total", "work") == 1
        sleeper.let_go.set()
    assert source.settled == {job.token: HandBack()}


async def test_what_has_not_started_is_handed_back_at_once() -> None:
    async def work(batch):
        raise AssertionError("must not start")

    job = delivery()
    source = DirectedSource(job)
    async with pool_on(source, Batcher(work, batch_size=2, linger_seconds=60)) as bench:
        async with source.changed:
            await source.changed.wait_for(lambda: source.held)
        await bench.stopped()
    assert source.settled == {job.token: HandBack()}


async def test_what_is_claimed_while_the_stop_comes_is_handed_back() -> None:
    job, claiming, answer = delivery(), asyncio.Event(), asyncio.Event()

    class Slow(DirectedSource):
        async def exchange(self, settled, want):
            claiming.set()
            await answer.wait()
            return await super().exchange(settled, want)

    async def work(_):
        raise AssertionError("must not start")

    source = Slow(job)
    async with pool_on(source, Worker(work)) as bench:
        await claiming.wait()
        bench.stop.set()
        await asyncio.sleep(0.01)
        answer.set()
        await bench.stopped()
    assert source.settled == {job.token: HandBack()}


async def test_deferred_verdicts_are_waited_for_and_then_handed_back() -> None:
    clock = FrozenClock()
    commits = []

    async def work(_):
        commits.append(asyncio.get_running_loop().create_future())
        return Deferred(commits[-1])

    committed, hanging = delivery(), delivery()
    source = DirectedSource(committed, hanging)
    async with pool_on(source, Worker(work, timeout_seconds=90), clock=clock) as bench:
        async with source.changed:
            await source.changed.wait_for(lambda: len(commits) == 2)
        bench.stop.set()
        await asyncio.sleep(0.02)
        commits[0].set_result(Done())
        assert await source.verdict_of(committed) == Done()
        assert hanging.token not in source.settled
        clock.advance(25)
        await asyncio.sleep(0.05)
        clock.advance(5)
        await bench.stopped()
    assert source.settled[hanging.token] == HandBack()


async def test_a_lost_call_is_repeated_as_it_was_while_jobs_go_on() -> None:
    sleeper, job, quick = Sleeper(), delivery(), delivery(payload=b'{"name": "quick"}')
    source = DirectedSource(job)
    async with pool_on(source, Worker(sleeper.work)):
        await sleeper.begun.wait()
        before = len(source.calls)
        source.failures = 3
        source.add(quick)
        sleeper.let_go.set()
        assert await source.verdict_of(job) == Done()
        assert await source.verdict_of(quick) == Done()
    lost = source.calls[before : before + 4]
    assert lost[0] == lost[1] == lost[2] == lost[3]


async def test_the_progress_age_rises_while_the_source_is_away() -> None:
    clock = FrozenClock()

    async def work(_):
        return Done()

    source = DirectedSource()
    async with pool_on(source, Worker(work), clock=clock) as bench:
        gauge = next(m for m in bench.table.metrics if m.name == "worker_progress_age_seconds")
        while not (heard := bench.table.total(gauge.cell().at)):
            await asyncio.sleep(0)
        assert heard == clock.monotonic()
        source.failures = 3
        source.add(delivery())
        clock.advance(100)
        while source.failures == 3:
            await asyncio.sleep(0.001)
        assert bench.table.total(gauge.cell().at) == heard
        while bench.table.total(gauge.cell().at) == heard:
            await asyncio.sleep(0.001)
        assert bench.table.total(gauge.cell().at) == clock.monotonic()


async def test_a_source_that_stays_away_ends_a_stop_with_its_error() -> None:
    clock = FrozenClock()

    async def work(_):
        return Done()

    source = DirectedSource()
    source.failures = 1_000_000
    async with pool_on(source, Worker(work), clock=clock, grace_seconds=1) as bench:
        while not source.calls:
            await asyncio.sleep(0)
        bench.stop.set()
        await asyncio.sleep(0.02)
        clock.advance(12)
        with pytest.raises(ConnectionLostError):
            await bench.stopped()
        bench.task = asyncio.create_task(asyncio.sleep(0))
    assert not source.keeping


async def test_any_other_error_of_the_source_ends_the_pool_and_its_jobs() -> None:
    sleeper, job = Sleeper(), delivery()
    source = DirectedSource(job)
    async with pool_on(source, Worker(sleeper.work)) as bench:
        await sleeper.begun.wait()

        async def broken(settled, want):
            raise DependencyError("evicts keys")

        source.exchange = broken  # type: ignore[method-assign]
        source.add(delivery())
        with pytest.raises(DependencyError):
            await bench.task
        await sleeper.cancelled.wait()
        bench.task = asyncio.create_task(asyncio.sleep(0))


async def test_a_suspect_runs_alone_and_a_second_one_waits() -> None:
    sleeper = Sleeper()
    running = delivery()
    suspect = delivery(payload=b'{"name": "suspect"}', crashes=2)
    second = delivery(payload=b'{"name": "second"}', crashes=2)
    bystander = delivery(payload=b'{"name": "bystander"}')
    source = DirectedSource(running, suspect, second)
    alone: list[set[str]] = []

    async def work(execution):
        if execution.delivery.crashes:
            alone.append(set(source.held))
        return await sleeper.work(execution)

    async with pool_on(source, Worker(work)):
        snoozed = await source.verdict_of(second)
        assert isinstance(snoozed, Snooze)
        assert 1.0 <= snoozed.after <= 2.0
        await sleeper.begun.wait()
        source.add(bystander)
        await asyncio.sleep(0.03)
        assert not alone
        assert bystander.token not in source.settled
        sleeper.let_go.set()
        assert await source.verdict_of(suspect) == Done()
        assert await source.verdict_of(bystander) == Done()
    assert alone == [{suspect.token}]


async def test_a_suspect_that_waits_is_handed_back_on_a_stop() -> None:
    sleeper, running, suspect = Sleeper(), delivery(), delivery(crashes=2)
    source = DirectedSource(running, suspect)
    async with pool_on(source, Worker(sleeper.work)) as bench:
        await sleeper.begun.wait()
        bench.stop.set()
        assert await source.verdict_of(suspect) == HandBack()
        sleeper.let_go.set()
