"""What was announced and fired: one firing in a fleet, in one step with the publish."""

from __future__ import annotations

import asyncio
import time

import pytest

from shared.queue.port import Queue
from shared.queue.schedules import Schedule, ScheduleState
from shared.verdicts import Done
from tests.contracts.queue.harness import Harness, claim, claim_one, job, keys, settle

pytestmark = pytest.mark.needs("schedules")

HOURLY = Schedule(name="report", job=job(payload=b"[1]"), every_seconds=3600.0)


async def test_a_new_schedule_counts_as_fired_when_it_is_announced(harness: Harness) -> None:
    store, before = harness.schedules(), time.time()
    last = await store.announce(HOURLY, before + 60.0)
    assert last is not None
    assert before - 5 < last < time.time() + 5
    assert await store.announce(HOURLY, before + 120.0) == last
    (state,) = await store.schedules()
    assert state == ScheduleState(
        name="report",
        description="every 3600 s",
        job_type="job",
        last_due=None,
        next_due=before + 120.0,
    )


async def test_a_firing_publishes_the_job_once(queue: Queue, harness: Harness) -> None:
    store, due = harness.schedules(), time.time() + 60.125
    await store.announce(HOURLY, due)
    assert await store.fire("report", due, HOURLY.job)
    assert not await store.fire("report", due, HOURLY.job)
    assert not await store.fire("report", due - 60.0, HOURLY.job), "an earlier one comes too late"
    assert await store.announce(HOURLY, due + 60.0) == due
    assert (await store.schedules())[0].last_due == due
    delivery = await claim_one(queue)
    assert (delivery.job.payload, delivery.job.key) == (b"[1]", f"report@{due!r}")
    await settle(queue, delivery, Done())
    assert not await store.fire("report", due, HOURLY.job), "also when the job has run"
    assert await store.fire("report", due + 60.0, HOURLY.job)
    assert keys(await claim(queue)) == [f"report@{due + 60.0!r}"]


async def test_of_many_that_fire_one_does(queue: Queue, harness: Harness) -> None:
    stores = [harness.schedules() for _ in range(4)]
    for due in (1e9, 1e9 + 1):
        fired = await asyncio.gather(*(each.fire("report", due, HOURLY.job) for each in stores))
        assert sorted(fired) == [False, False, False, True]
    assert len(await claim(queue)) == 2


async def test_a_firing_wakes_a_worker(
    queue: Queue, harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.queue.redis.queue.IDLE_LOOK_SECONDS", 60.0)
    monkeypatch.setattr("shared.queue.memory.queue.IDLE_LOOK_SECONDS", 60.0)
    monkeypatch.setattr("shared.queue.postgres.queue.IDLE_LOOK_SECONDS", 60.0)
    await queue.exchange([], 1)
    waiting = asyncio.create_task(queue.wait(60.0))
    await asyncio.wait([waiting], timeout=0.1)
    assert not waiting.done()
    await harness.schedules().fire("report", 1e9, HOURLY.job)
    async with asyncio.timeout(30):
        await waiting


async def test_another_definition_starts_anew(harness: Harness) -> None:
    store = harness.schedules()
    await store.announce(HOURLY, 1e9)
    await store.fire("report", 1e9, HOURLY.job)
    first = await store.announce(HOURLY, 1e9)
    cron = Schedule(name="report", job=HOURLY.job, cron="* * * * *", timezone="Europe/Berlin")
    last = await store.announce(cron, 1e9)
    assert first is not None
    assert last is not None
    assert last >= first
    assert last > 1.7e9, "nothing of the time before is due"
    assert (await store.schedules())[0].description == "* * * * * (Europe/Berlin)"


async def test_what_is_forgotten_is_listed_no_more(harness: Harness) -> None:
    store = harness.schedules()
    for name in ("b", "a"):
        await store.announce(Schedule(name=name, job=job(), every_seconds=1.0), 1e9)
    await store.fire("a", 1e9, job())
    assert [each.name for each in await store.schedules()] == ["a", "b"]
    assert await store.forget("a")
    assert not await store.forget("a")
    assert [each.name for each in await store.schedules()] == ["b"]
    await store.announce(Schedule(name="a", job=job(), every_seconds=1.0), 1e9)
    assert (await store.schedules())[0].last_due is None
