"""Jobs that never wait share a task; nobody can tell, except by its speed."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar

import pytest

from shared.pool import runner
from shared.verdicts import Discard, Done, Retry
from tests.unit.pool_source import DirectedSource, Worker, delivery, pool_on

NAME: ContextVar[str] = ContextVar("NAME", default="")


def named(name: str):
    return delivery(payload=b'{"name":"%s"}' % name.encode())


async def test_jobs_that_never_wait_share_a_task() -> None:
    tasks = []

    async def work(_):
        tasks.append(asyncio.current_task())
        return Done()

    jobs = [delivery() for _ in range(4)]
    source = DirectedSource(*jobs)
    async with pool_on(source, Worker(work), workers=4) as bench:
        for job in jobs:
            assert await source.verdict_of(job) == Done()
        assert bench.count("worker_jobs_processed_total", "work", "success") == 4
        assert bench.count("worker_verdicts_total", "work", "done") == 4
        assert bench.count("worker_slots_busy") == 0
    assert len(set(tasks)) == 1


async def test_a_job_that_waits_keeps_its_task_and_the_others_go_on() -> None:
    tasks, go = {}, asyncio.Event()

    async def work(execution):
        tasks[execution.payload.name] = asyncio.current_task()
        if execution.payload.name.startswith("waits"):
            await go.wait()
        return Done()

    jobs = [named("a"), named("waits"), named("b"), named("waits too"), named("c")]
    source = DirectedSource(*jobs)
    async with pool_on(source, Worker(work), workers=5) as bench:
        for job in (jobs[0], jobs[2], jobs[4]):
            assert await source.verdict_of(job) == Done()
        assert bench.count("worker_slots_busy") == 2
        assert set(source.held) == {jobs[1].token, jobs[3].token}
        go.set()
        for job in (jobs[1], jobs[3]):
            assert await source.verdict_of(job) == Done()
        assert bench.count("worker_slots_busy") == 0
    assert tasks["waits"] not in (tasks["b"], tasks["c"], tasks["waits too"])


async def test_a_slot_is_busy_while_a_job_runs_that_never_waits() -> None:
    seen = []
    job = delivery()
    source = DirectedSource(job)

    async def work(_):
        seen.append(bench.count("worker_slots_busy"))
        return Done()

    async with pool_on(source, Worker(work)) as bench:
        await source.verdict_of(job)
    assert seen == [1]


async def test_what_a_job_puts_into_its_context_is_not_there_for_the_next() -> None:
    seen = {}

    async def work(execution):
        seen[execution.payload.name] = NAME.get()
        NAME.set(execution.payload.name)
        return Done()

    jobs = [named("a"), named("b"), named("c")]
    source = DirectedSource(*jobs)
    async with pool_on(source, Worker(work)):
        for job in jobs:
            await source.verdict_of(job)
    assert seen == {"a": "", "b": "", "c": ""}


async def test_a_timeout_before_the_first_wait_is_the_jobs_own() -> None:
    async def work(execution):
        if execution.payload.name == "slow":
            async with asyncio.timeout(0.01):
                await asyncio.Event().wait()
        async with asyncio.timeout(10):
            return Done()

    slow, quick = named("slow"), named("quick")
    source = DirectedSource(named("first"), slow, quick)
    async with pool_on(source, Worker(work)):
        assert await source.verdict_of(quick) == Done()
        verdict = await source.verdict_of(slow)
    assert isinstance(verdict, Retry)
    assert verdict.error.startswith("TimeoutError")


async def test_a_job_that_cancels_its_own_task_harms_no_neighbour() -> None:
    async def work(execution):
        if execution.payload.name == "suicidal":
            asyncio.current_task().cancel()
            return Discard("cancelled itself")
        await asyncio.sleep(0)
        return Done()

    suicidal, neighbour = named("suicidal"), named("neighbour")
    source = DirectedSource(suicidal, neighbour)
    async with pool_on(source, Worker(work)):
        assert await source.verdict_of(suicidal) == Discard("cancelled itself")
        assert await source.verdict_of(neighbour) == Done()


async def test_jobs_that_never_wait_let_the_loop_look_round(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(runner, "LONGEST_STRETCH_SECONDS", 0.0)
    order = []

    async def work(execution):
        order.append(execution.payload.name)
        asyncio.get_running_loop().call_soon(order.append, "loop")
        return Done()

    jobs = [named("a"), named("b"), named("c")]
    source = DirectedSource(*jobs)
    async with pool_on(source, Worker(work)):
        for job in jobs:
            await source.verdict_of(job)
    assert order == ["a", "loop", "b", "loop", "c", "loop"]
