"""Middleware surrounds processors: before, after, instead, and once a batch."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace

from shared.clock import FrozenClock
from shared.pool.middleware import surround
from shared.verdicts import DeadLetter, Discard, Done, Retry
from tests.unit.pool_source import Batcher, DirectedSource, Payload, Worker, delivery, pool_on


async def done(_):
    return Done()


async def test_the_first_middleware_is_outermost() -> None:
    order = []

    def note(name):
        async def middleware(execution, call_next):
            order.append(f"{name} before")
            verdict = await call_next(execution)
            order.append(f"{name} after")
            return verdict

        return middleware

    async def work(_):
        order.append("work")
        return Done()

    job = delivery()
    source = DirectedSource(job)
    async with pool_on(source, Worker(work), middleware=[note("a"), note("b")]):
        assert await source.verdict_of(job) == Done()
    assert order == ["a before", "b before", "work", "b after", "a after"]


def test_without_middleware_the_processor_is_called_itself() -> None:
    assert surround(done, []) is done


async def test_it_may_hand_on_another_execution_and_return_another_verdict() -> None:
    names = []

    async def work(execution):
        names.append(execution.payload.name)
        return Done()

    async def middleware(execution, call_next):
        await call_next(replace(execution, payload=Payload("changed")))
        return Discard("seen")

    job = delivery()
    source = DirectedSource(job)
    async with pool_on(source, Worker(work), middleware=[middleware]):
        assert await source.verdict_of(job) == Discard("seen")
    assert names == ["changed"]


async def test_it_may_answer_without_calling() -> None:
    async def work(_):
        raise AssertionError("must not run")

    async def middleware(execution, call_next):
        return DeadLetter("not here")

    job = delivery()
    source = DirectedSource(job)
    async with pool_on(source, Worker(work), middleware=[middleware]):
        assert await source.verdict_of(job) == DeadLetter("not here")


async def test_what_it_raises_counts_as_raised_by_the_processor() -> None:
    async def middleware(execution, call_next):
        await call_next(execution)
        raise OSError("no session")

    job = delivery()
    source = DirectedSource(job)
    async with pool_on(source, Worker(done), middleware=[middleware]) as bench:
        verdict = await source.verdict_of(job)
        assert bench.count("worker_jobs_processed_total", "work", "failure") == 1
    assert isinstance(verdict, Retry)
    assert verdict.error == "OSError: no session"


async def test_it_sees_what_the_processor_raises_and_may_turn_it_into_a_verdict() -> None:
    async def work(_):
        raise LookupError("gone")

    async def middleware(execution, call_next):
        try:
            return await call_next(execution)
        except LookupError as error:
            return Discard(str(error))

    job = delivery()
    source = DirectedSource(job)
    async with pool_on(source, Worker(work), middleware=[middleware]):
        assert await source.verdict_of(job) == Discard("gone")


async def test_its_time_counts_against_the_jobs_timeout() -> None:
    clock, begun, job = FrozenClock(), asyncio.Event(), delivery()

    async def middleware(execution, call_next):
        begun.set()
        await asyncio.Event().wait()

    source = DirectedSource(job)
    worker = Worker(done, timeout_seconds=5)
    async with pool_on(source, worker, clock=clock, middleware=[middleware]):
        await begun.wait()
        clock.advance(5)
        verdict = await source.verdict_of(job)
    assert isinstance(verdict, Retry)
    assert verdict.error == "TimeoutError: job took longer than 5 s"


@pytest.mark.parametrize("count", [1, 3])
async def test_a_batch_is_surrounded_once_and_as_a_list(count: int) -> None:
    seen = []

    async def work(batch):
        return [Done()] * len(batch)

    async def middleware(batch, call_next):
        seen.append([each.delivery for each in batch])
        return await call_next(batch)

    jobs = [delivery() for _ in range(count)]
    source = DirectedSource(*jobs)
    async with pool_on(source, Batcher(work, batch_size=3), middleware=[middleware]):
        for job in jobs:
            assert await source.verdict_of(job) == Done()
    assert seen == [jobs]
