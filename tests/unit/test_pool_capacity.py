"""Claims never exceed what can run; batches fill, linger, and hold one slot."""

from __future__ import annotations

import asyncio
import itertools

import msgspec
import pytest

from shared.pool.claim_size import MAX_CLAIM_BYTES, ClaimSize
from shared.verdicts import DeadLetter, Deferred, Done, Retry
from tests.unit.pool_source import Batcher, DirectedSource, Worker, delivery, pool_on


class Gate:
    """Work that waits until the test lets it through, and counts how much runs at once."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.running = 0
        self.most = 0
        self.started = asyncio.Condition()
        self.batches: list[int] = []

    async def work(self, execution):
        await self._enter(1)
        return Done()

    async def work_batch(self, batch):
        await self._enter(len(batch))
        return [Done()] * len(batch)

    async def _enter(self, size: int) -> None:
        self.batches.append(size)
        self.running += 1
        self.most = max(self.most, self.running)
        async with self.started:
            self.started.notify_all()
        await self.open.wait()
        self.running -= 1

    async def runs(self, count: int) -> None:
        async with asyncio.timeout(10), self.started:
            await self.started.wait_for(lambda: self.running >= count)


@pytest.mark.parametrize("workers", [1, 3])
async def test_claims_never_exceed_free_slots(workers: int) -> None:
    gate = Gate()
    jobs = [delivery() for _ in range(10)]
    source = DirectedSource(*jobs)
    async with pool_on(source, Worker(gate.work), workers=workers) as bench:
        await gate.runs(workers)
        assert len(source.waiting) == 10 - workers
        assert bench.count("worker_slots_busy") == workers
        gate.open.set()
        for job in jobs:
            assert await source.verdict_of(job) == Done()
        assert gate.most == workers
    assert all(want <= workers for _, want in source.calls)
    assert bench.count("worker_slots_busy") == 0


async def test_half_of_many_slots_is_claimed_before_the_other_half_has_run() -> None:
    ran: list[int] = []

    async def work(_):
        ran.append(len(source.calls))
        return Done()

    jobs = [delivery() for _ in range(40)]
    source = DirectedSource(*jobs)
    async with pool_on(source, Worker(work), workers=40):
        for job in jobs:
            assert await source.verdict_of(job) == Done()
    assert [(len(settled), want) for settled, want in source.calls[:2]] == [(0, 20), (0, 20)]
    assert min(ran) == 2


async def test_all_slots_fill_up_though_each_claim_is_for_half() -> None:
    gate = Gate()
    jobs = [delivery() for _ in range(50)]
    source = DirectedSource(*jobs)
    async with pool_on(source, Worker(gate.work), workers=40):
        await gate.runs(40)
        assert len(source.waiting) == 10
        gate.open.set()
        for job in jobs:
            assert await source.verdict_of(job) == Done()
    assert gate.most == 40


async def test_a_slot_of_a_batch_processor_holds_one_batch() -> None:
    gate = Gate()
    jobs = [delivery() for _ in range(20)]
    source = DirectedSource(*jobs)
    async with pool_on(source, Batcher(gate.work_batch, batch_size=3), workers=2) as bench:
        await gate.runs(2)
        assert gate.batches == [3, 3]
        assert len(source.waiting) == 14
        assert bench.count("worker_slots_busy") == 2
        gate.open.set()
        for job in jobs:
            assert await source.verdict_of(job) == Done()
    assert source.calls[0][1] == 6
    assert max(want for _, want in source.calls) == 6


def test_one_job_is_asked_for_however_large_the_last_ones_were() -> None:
    size = ClaimSize(slots=10, slot_holds=1000)
    size.learn([delivery(payload=bytes(2 * MAX_CLAIM_BYTES))])
    assert size.within(1000) == 1
    assert size.within(0) == 0


@pytest.mark.parametrize(("size", "count", "then"), [(2**20, 300, 32), (2, 4_000, 1_000)])
async def test_a_claim_is_bounded_by_the_size_of_the_jobs_that_came_last(
    size: int, count: int, then: int
) -> None:
    payload = b'""'.rjust(size)  # one object for all: only the claims are large
    jobs = [delivery(payload=payload) for _ in range(count)]
    source = DirectedSource(*jobs)

    async def work(batch):
        return [Done()] * len(batch)

    batcher = Batcher(work, batch_size=1_000)
    batcher.payload_type = msgspec.Raw  # type: ignore[misc]
    async with pool_on(source, batcher, workers=2):
        for job in jobs:
            assert await source.verdict_of(job) == Done()
    wants = [want for _, want in source.calls if want]
    assert wants[0] == 128
    assert max(wants[2:]) == then  # one call is ahead of what is learnt
    assert wants[-1] == then


async def test_held_jobs_of_two_batch_types_never_exceed_the_capacity() -> None:
    gate = Gate()
    other = Batcher(gate.work_batch, batch_size=3, linger_seconds=0.02)
    other.job_type = "other"  # type: ignore[misc]
    types = itertools.cycle(["work", "other", "work"])
    jobs = [delivery(next(types)) for _ in range(30)]
    source = DirectedSource(*jobs)
    batcher = Batcher(gate.work_batch, batch_size=3, linger_seconds=0.02)
    async with pool_on(source, batcher, other, workers=2):
        await gate.runs(2)
        assert len(source.held) <= 6
        gate.open.set()
        for job in jobs:
            assert await source.verdict_of(job) == Done()
        assert gate.most == 2


async def test_a_batch_lingers_to_fill_and_then_goes_as_it_is() -> None:
    sizes: list[int] = []

    async def work(batch):
        sizes.append(len(batch))
        return [Done()] * len(batch)

    first = [delivery(), delivery()]
    source = DirectedSource(*first)
    async with pool_on(source, Batcher(work, batch_size=3, linger_seconds=0.1)):
        third = delivery()
        async with source.changed:
            await source.changed.wait_for(lambda: len(source.held) == 2 or sizes)
        assert not sizes
        source.add(third)
        for job in [*first, third]:
            assert await source.verdict_of(job) == Done()
        assert sizes == [3]
        last = delivery()
        source.add(last)
        assert await source.verdict_of(last) == Done()
        assert sizes == [3, 1]


async def test_each_execution_of_a_batch_gets_its_own_verdict() -> None:
    jobs = [delivery(), delivery(), delivery()]

    async def work(batch):
        return [Done(), DeadLetter("bad"), Retry("busy", after=1.0)]

    source = DirectedSource(*jobs)
    async with pool_on(source, Batcher(work)) as bench:
        verdicts = [await source.verdict_of(job) for job in jobs]
        assert bench.count("worker_jobs_processed_total", "work", "success") == 1
        assert bench.count("worker_jobs_processed_total", "work", "failure") == 2
    assert verdicts == [Done(), DeadLetter("bad"), Retry("busy", after=1.0)]


@pytest.mark.parametrize("answer", [[Done()], [Done()] * 4, None, iter([Done()] * 3)])
async def test_a_batch_with_the_wrong_number_of_verdicts_is_retried_whole(answer) -> None:
    jobs = [delivery(), delivery(), delivery()]

    async def work(batch):
        return answer

    source = DirectedSource(*jobs)
    async with pool_on(source, Batcher(work)):
        for job in jobs:
            verdict = await source.verdict_of(job)
            assert isinstance(verdict, Retry)
            assert "for 3 executions" in verdict.error


async def test_a_deferred_verdict_frees_the_slot_and_keeps_the_lease() -> None:
    commits: list[asyncio.Future] = []

    async def work(_):
        commits.append(asyncio.get_running_loop().create_future())
        return Deferred(commits[-1])

    jobs = [delivery() for _ in range(3)]
    source = DirectedSource(*jobs)
    async with pool_on(source, Worker(work), workers=1) as bench:
        async with source.changed:
            await source.changed.wait_for(lambda: len(commits) == 3)
        assert {job.token for job in jobs} == set(source.held)
        assert bench.count("worker_slots_busy") == 0
        assert bench.count("worker_jobs_processed_total", "work", "success") == 0
        commits[0].set_result(Done())
        commits[1].set_exception(OSError("commit failed"))
        commits[2].cancel()
        assert await source.verdict_of(jobs[0]) == Done()
        for job in jobs[1:]:
            assert isinstance(await source.verdict_of(job), Retry)
        assert bench.count("worker_jobs_processed_total", "work", "success") == 1
        assert bench.count("worker_jobs_processed_total", "work", "failure") == 2
    assert not source.held
