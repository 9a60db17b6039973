"""Wake-ups: none is missed, none keeps a job from others, all can be cancelled."""

from __future__ import annotations

import asyncio
import time
from statistics import median

import pytest

from shared.queue.port import Queue
from shared.verdicts import HandBack, Retry, Settlement
from tests.contracts.queue.harness import Harness, claim, claim_one, job, keys, settle

PROMPT = 30.0
"""Seconds, on a busy machine; a wake-up that was missed would show after a minute."""


@pytest.fixture(autouse=True)
def _no_looking(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the idle look, nothing but wake-ups ends a wait."""
    monkeypatch.setattr("shared.queue.redis.queue.IDLE_LOOK_SECONDS", 60.0)
    monkeypatch.setattr("shared.queue.memory.queue.IDLE_LOOK_SECONDS", 60.0)
    monkeypatch.setattr("shared.queue.nats_jetstream.queue.IDLE_LOOK_SECONDS", 60.0)
    monkeypatch.setattr("shared.queue.postgres.queue.IDLE_LOOK_SECONDS", 60.0)


async def next_job(queue: Queue) -> str:
    """Wait and claim until there is a job, as a pool does."""
    while not (deliveries := await claim(queue, 1)):
        await queue.wait(60.0)
    return deliveries[0].job.key


async def asleep(queue: Queue) -> asyncio.Task[str]:
    """Start a consumer that waits, and return when it has surely begun to."""
    task = asyncio.create_task(next_job(queue))
    await asyncio.wait([task], timeout=0.1)
    assert not task.done()
    return task


async def test_a_publish_wakes_a_waiting_consumer(queue: Queue, other: Queue) -> None:
    task = await asleep(queue)
    await other.publish([job("a")])
    async with asyncio.timeout(PROMPT):
        assert await task == "a"


async def test_a_message_of_the_inbox_wakes_a_waiting_consumer(
    queue: Queue, harness: Harness
) -> None:
    task = await asleep(queue)
    await harness.push(b'{"type":"job"}')
    async with asyncio.timeout(PROMPT):
        await task


@pytest.mark.needs("competing")
@pytest.mark.parametrize("verdict", [HandBack(), Retry("at once", 0.0)])
async def test_work_that_comes_back_wakes_a_waiting_consumer(
    queue: Queue, other: Queue, verdict: HandBack | Retry
) -> None:
    await other.publish([job("a")])
    held = await claim_one(other)
    task = await asleep(queue)
    await settle(other, held, verdict)
    async with asyncio.timeout(PROMPT):
        assert await task == "a"


@pytest.mark.needs("competing")
async def test_each_of_many_waiting_consumers_gets_its_share(harness: Harness) -> None:
    queues = [await harness.consumer() for _ in range(4)]
    tasks = [await asleep(each) for each in queues]
    await queues[0].publish([job(str(n)) for n in range(2)])
    await harness.push(*[b'{"type":"job"}'] * 2)
    async with asyncio.timeout(PROMPT):
        await asyncio.gather(*tasks)


async def test_a_delayed_job_published_later_ends_a_longer_wait(queue: Queue, other: Queue) -> None:
    task = await asleep(queue)
    await other.publish([job("a", delay=0.3)])
    async with asyncio.timeout(PROMPT):
        assert await task == "a"


async def test_a_wait_ends_when_the_next_job_is_due(queue: Queue) -> None:
    started = time.monotonic()
    await queue.publish([job("a", delay=0.2)])
    while not await claim(queue):
        await queue.wait(60.0)
    assert time.monotonic() - started < PROMPT


async def test_a_wait_claims_nothing(queue: Queue, other: Queue, harness: Harness) -> None:
    await harness.push(b'{"type":"job","id":"1"}')
    await queue.wait(1.0)
    if harness.sends_ahead:
        await queue.close()
    depth = await other.depth()
    assert depth.inbox + depth.ready == 1
    (found,) = await claim(other)
    assert (found.job.id, found.attempt, found.crashes) == ("1", 1, 0)


async def test_a_wait_ends_after_its_timeout(queue: Queue) -> None:
    started = time.monotonic()
    await queue.wait(0.1)
    assert 0.05 < time.monotonic() - started < PROMPT


async def test_a_cancelled_wait_swallows_no_wake_up(
    queue: Queue, other: Queue, harness: Harness
) -> None:
    waiting = queue if harness.sends_ahead else other
    for number in range(20):
        cancelled = asyncio.create_task(queue.wait(60.0))
        await asyncio.wait([cancelled], timeout=0.001 * (number % 5))
        cancelled.cancel()
        task = await asleep(waiting)
        await queue.publish([job(str(number))])
        async with asyncio.timeout(PROMPT):
            assert await task == str(number)
        await asyncio.wait([cancelled])


async def test_an_idle_queue_answers_quickly(queue: Queue, other: Queue) -> None:
    """From publish to claim, mostly well under what people notice."""
    times = []
    for number in range(40):
        task = asyncio.create_task(next_job(queue))
        await asyncio.sleep(0.002)
        started = time.perf_counter()
        await other.publish([job(str(number))])
        await task
        times.append(time.perf_counter() - started)
    assert median(times) < 0.5, "nobody looks for work twice a second"


async def test_handing_back_while_another_waits_loses_nothing(
    queue: Queue, other: Queue, harness: Harness
) -> None:
    await queue.publish([job(str(n)) for n in range(10)])
    held = await claim(queue, 10)
    task = await asleep(other)
    await queue.exchange([Settlement(each, HandBack()) for each in held], 0)
    if harness.sends_ahead:
        await queue.close()
    async with asyncio.timeout(PROMPT):
        found = [await task, *keys(await claim(other, 20))]
    assert found == sorted(found) or harness.sends_ahead
    assert sorted(found) == [str(n) for n in range(10)]
