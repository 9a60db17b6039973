"""What a person does to a queue, as the workers and their jobs see it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest

from shared.jobs import new_job
from shared.observability.metrics import MetricsTable
from shared.pool.processor import Execution
from shared.pool.retry_policy import RetryPolicy
from shared.pool.worker_pool import PoolMetrics, PoolSettings, WorkerPool
from shared.queue.administration import QueueAdmin
from shared.queue.factory import create_queue, create_queue_admin
from shared.queue.port import Queue, QueueSettings
from shared.verdicts import Done, Verdict
from tests.services.servers import Redis


class Name(msgspec.Struct):
    name: str


class Patient:
    """A processor whose jobs named `endless` end only when they are cancelled."""

    job_type = "name"
    payload_type = Name
    timeout_seconds = 60.0
    retry = RetryPolicy()

    def __init__(self) -> None:
        self.events: asyncio.Queue[str] = asyncio.Queue()

    async def process(self, execution: Execution[Name]) -> Verdict:
        name = execution.payload.name
        self.events.put_nowait(f"started {name}")
        if name == "endless":
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.events.put_nowait(f"cancelled {name}")
                raise
        return Done()

    async def hears(self, event: str) -> None:
        async with asyncio.timeout(40):
            assert await self.events.get() == event


@pytest.fixture(params=["redis", "memory"])
def url(request: pytest.FixtureRequest) -> str:
    return request.getfixturevalue("redis_url") if request.param == "redis" else "memory://"


def settings_of(url: str) -> QueueSettings:
    return QueueSettings(name=f"pool-administration-{id(url)}", lease_seconds=2.0)


@asynccontextmanager
async def a_pool(queue: Queue, patient: Patient) -> AsyncIterator[None]:
    metrics = PoolMetrics(MetricsTable(), ["name"])
    pool = WorkerPool(queue, [patient], settings=PoolSettings(workers=1), metrics=metrics)
    await queue.open("test", ["name"])
    stop = asyncio.Event()
    running = asyncio.create_task(pool.run(stop))
    try:
        yield
    finally:
        stop.set()
        async with asyncio.timeout(40):
            await running


async def emptied(admin: QueueAdmin) -> None:
    async with asyncio.timeout(40):
        while (depth := await admin.depth()).leased or depth.ready or depth.delayed:
            await asyncio.sleep(0.02)
    assert depth.dead == 0


async def test_a_cancelled_job_ends_and_frees_its_slot_for_good(url: str) -> None:
    settings = settings_of(url)
    queue, admin = create_queue(settings, url), create_queue_admin(settings, url)
    patient, endless = Patient(), new_job("name", Name("endless"))
    await queue.publish([endless, new_job("name", Name("next"))])
    async with a_pool(queue, patient):
        await patient.hears("started endless")
        assert await admin.cancel([endless.key]) == 1
        await patient.hears("cancelled endless")
        await patient.hears("started next")
        await emptied(admin)
    assert patient.events.empty(), "it never came back"
    await queue.close()
    await admin.close()


async def test_the_worker_of_a_paused_queue_works_after_its_resume(url: str) -> None:
    settings = settings_of(url)
    queue, admin = create_queue(settings, url), create_queue_admin(settings, url)
    patient = Patient()
    await admin.pause()
    async with a_pool(queue, patient):
        await queue.publish([new_job("name", Name("later"))])
        await admin.resume()
        await patient.hears("started later")
        await emptied(admin)
    await queue.close()
    await admin.close()


async def test_a_pause_outlives_a_restart_of_the_server(redis7_server: Redis) -> None:
    settings = QueueSettings(name="paused")
    queue = create_queue(settings, redis7_server.url)
    admin = create_queue_admin(settings, redis7_server.url)
    await queue.open("test", ["name", "other"])
    await queue.publish([new_job("name", Name("a")), new_job("other", Name("b"))])
    await admin.pause("name")
    held = (await queue.exchange([], 10)).deliveries
    await admin.pause()
    await asyncio.to_thread(redis7_server.restart)
    assert await admin.paused() == (True, ["name"])
    assert [each.job.type for each in held] == ["other"]
    await admin.resume()
    assert not (await queue.exchange([], 10)).deliveries
    await admin.resume("name")
    assert [each.job.type for each in (await queue.exchange([], 10)).deliveries] == ["name"]
    await queue.close()
    await admin.close()
