"""The bench on which users test their processors."""

from __future__ import annotations

import asyncio
import doctest
import time

import msgspec
import pytest

from shared import testing
from shared.errors import PermanentError
from shared.jobs import new_job
from shared.pool.retry_policy import RetryPolicy
from shared.testing import JobBench
from shared.verdicts import DeadLetter, Done, Retry, Snooze


class Payload(msgspec.Struct):
    n: int = 0


class Step:
    """A processor that does what the test says."""

    job_type = "step"
    payload_type = Payload
    timeout_seconds = 30.0
    retry = RetryPolicy(max_attempts=4, first_delay_seconds=600)

    def __init__(self, work) -> None:
        self._work = work

    async def process(self, execution):
        return await self._work(execution)


def test_the_example_in_its_documentation_runs() -> None:
    results = doctest.testmod(testing, raise_on_error=True)
    assert results.attempted >= 6
    assert results.failed == 0


async def test_retries_take_no_time_and_the_clock_moves() -> None:
    async def work(_):
        raise OSError("down")

    began = time.monotonic()
    async with JobBench(Step(work)) as bench:
        job = new_job("step", {})
        await bench.publish(job)
        await bench.run_until_idle()
        *retries, last = bench.verdicts(job)
        [dead] = await bench.dead_letters()
    delays = [each.after for each in retries if isinstance(each, Retry)]
    assert len(delays) == 3
    assert bench.seconds_passed == pytest.approx(sum(delays), abs=0.01)
    assert last == DeadLetter("OSError: down (attempt 4 of 4)")
    assert dead.reason == last.reason
    assert time.monotonic() - began < sum(delays)


async def test_jobs_run_in_the_order_of_their_due_times_and_may_publish_others() -> None:
    seen = []

    async def work(execution):
        seen.append((execution.payload.n, bench.seconds_passed))
        if execution.payload.n == 1:
            await bench.publish(new_job("step", Payload(9), delay_seconds=50))
        return Done()

    async with JobBench(Step(work)) as bench:
        await bench.publish(
            new_job("step", Payload(3), delay_seconds=300),
            new_job("step", Payload(1)),
            new_job("step", Payload(2), delay_seconds=20),
        )
        await bench.run_until_idle()
    assert [n for n, _ in seen] == [1, 2, 9, 3]
    assert [at for _, at in seen] == pytest.approx([0, 20, 50, 300], abs=0.01)


async def test_it_can_go_on_after_being_idle() -> None:
    async def work(execution):
        return Done(execution.payload.n)

    async with JobBench(Step(work)) as bench:
        await bench.run_until_idle()
        for n in range(3):
            job = new_job("step", Payload(n))
            await bench.publish(job)
            await bench.run_until_idle()
            assert bench.verdicts(job) == [Done(n)]


async def test_snoozes_jump_too_and_jobs_that_wait_are_waited_for() -> None:
    snoozed = []

    async def work(execution):
        await asyncio.sleep(0.001)
        if not snoozed:
            snoozed.append(execution)
            return Snooze(after=86_400.0)
        return Done()

    async with JobBench(Step(work), workers=1) as bench:
        job = new_job("step", {})
        await bench.publish(job)
        await bench.run_until_idle()
        assert bench.verdicts(job) == [Snooze(after=86_400.0), Done()]
        assert bench.seconds_passed >= 86_400


async def test_messages_of_other_programs_and_bad_payloads_are_as_they_would_be() -> None:
    async def work(execution):
        raise PermanentError("never")

    async with JobBench(Step(work)) as bench:
        bench.push(b'{"ID": "7", "Type": "step", "Payload": {"n": 5}}')
        bench.push(b'{"type": "step", "payload": {"n": "five"}}')
        bench.push(b"not json")
        await bench.run_until_idle()
        reasons = sorted(each.reason for each in await bench.dead_letters())
    assert [reason.split(":")[0] for reason in reasons] == [
        "PermanentError", "invalid payload", "unreadable",
    ]  # fmt: skip


async def test_a_job_that_hangs_is_named() -> None:
    hung = asyncio.Event()

    async def work(_):
        hung.set()
        await asyncio.Event().wait()

    async with JobBench(Step(work)) as bench:
        await bench.publish(new_job("step", {}, id="order-7"))
        with pytest.raises(TimeoutError, match="step order-7"):
            await bench.run_until_idle(patience_seconds=0.05)
        assert hung.is_set()


async def test_moving_the_clock_times_a_job_out() -> None:
    begun = asyncio.Event()

    async def work(execution):
        if execution.delivery.attempt == 1:
            begun.set()
            await asyncio.Event().wait()
        return Done()

    async with JobBench(Step(work)) as bench:
        job = new_job("step", {})
        await bench.publish(job)
        running = asyncio.create_task(bench.run_until_idle())
        await begun.wait()
        bench.clock.advance(30.0)
        await running
        first, second = bench.verdicts(job)
    assert isinstance(first, Retry)
    assert first.error == "TimeoutError: job took longer than 30 s"
    assert second == Done()


async def test_middleware_and_plain_functions_work_as_in_a_worker() -> None:
    class Plain(Step):
        def process(self, execution):
            return Done(execution.payload.n)

    async def twice(execution, call_next):
        verdict = await call_next(execution)
        return Done(2 * verdict.result)

    async with JobBench(Plain(None), middleware=[twice]) as bench:
        job = new_job("step", Payload(4))
        await bench.publish(job)
        await bench.run_until_idle()
        assert bench.verdicts(job) == [Done(8)]
