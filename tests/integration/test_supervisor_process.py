"""The order in which one worker process starts and stops its parts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from shared.errors import ConnectionLostError, DependencyError
from shared.supervisor import process as process_module
from shared.supervisor.parts import ProcessContext, WorkerParts
from shared.supervisor.process import WorkerProcess, exit_code_of

DEADLINE_SECONDS = 30.0


class Part:
    """A pool or service that notes when it begins and ends."""

    def __init__(self, name: str, notes: list[str], fail: Exception | None = None) -> None:
        self.name = name
        self.notes = notes
        self.fail = fail
        self.deaf = False

    async def run(self, stop: asyncio.Event) -> None:
        self.notes.append(f"{self.name} begins")
        if self.fail is not None:
            raise self.fail
        await stop.wait()
        if self.deaf:
            await asyncio.Event().wait()
        if self.name == "pool":
            await asyncio.sleep(0.05)  # a service that did not wait for it would end before it
        self.notes.append(f"{self.name} ends")


def process_of(build: Callable[[ProcessContext], Awaitable[WorkerParts]]) -> WorkerProcess:
    context = ProcessContext(index=0, count=1, worker_id="w", fork_server=None)  # type: ignore[arg-type]
    return WorkerProcess(context, build)


def building(parts: WorkerParts) -> Callable[[ProcessContext], Awaitable[WorkerParts]]:
    async def build(_: ProcessContext) -> WorkerParts:
        return parts

    return build


@pytest.fixture
def notes() -> list[str]:
    return []


def parts(notes: list[str], *services: Part) -> WorkerParts:
    async def close() -> None:
        notes.append("closed")

    return WorkerParts(pools=[Part("pool", notes)], services=services, close=close)


async def run(process: WorkerProcess, stop: asyncio.Event) -> int:
    async with asyncio.timeout(DEADLINE_SECONDS):
        return await process.run(stop)


async def test_services_stop_after_pools_and_closing_comes_last(notes: list[str]) -> None:
    process, stop = process_of(building(parts(notes, Part("service", notes)))), asyncio.Event()
    running = asyncio.create_task(run(process, stop))
    await process.ready.wait()
    await asyncio.sleep(0)
    assert (await process.routes()["/health/ready"]({})).status == 200
    stop.set()
    assert await running == 0
    assert notes == ["pool begins", "service begins", "pool ends", "service ends", "closed"]
    assert (await process.routes()["/health/ready"]({})).status == 503


async def test_a_part_that_fails_stops_the_others_in_order_and_is_told(notes: list[str]) -> None:
    failing = Part("failing", notes, fail=ConnectionLostError("gone"))
    process = process_of(building(parts(notes, failing, Part("service", notes))))
    with pytest.raises(ConnectionLostError):
        await run(process, asyncio.Event())
    assert notes[-3:] == ["pool ends", "service ends", "closed"]


async def test_a_service_that_does_not_stop_is_cancelled(
    notes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_module, "SERVICE_SECONDS", 0.05)
    deaf = Part("deaf", notes)
    deaf.deaf = True
    process, stop = process_of(building(parts(notes, deaf))), asyncio.Event()
    running = asyncio.create_task(run(process, stop))
    await process.ready.wait()
    stop.set()
    assert await running == 0
    assert notes[-1] == "closed"


async def test_a_stop_while_building_ends_the_worker() -> None:
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def build(_: ProcessContext) -> WorkerParts:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        raise AssertionError("never built")

    process, stop = process_of(build), asyncio.Event()
    running = asyncio.create_task(run(process, stop))
    await begun.wait()
    assert (await process.routes()["/health/ready"]({})).status == 503
    stop.set()
    assert await running == 0
    assert cancelled.is_set()


async def test_a_worker_without_parts_waits_for_its_stop() -> None:
    process, stop = process_of(building(WorkerParts())), asyncio.Event()
    running = asyncio.create_task(run(process, stop))
    await process.ready.wait()
    await asyncio.sleep(0.02)
    assert not running.done()
    stop.set()
    assert await running == 0


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (DependencyError("away"), 3),
        (ExceptionGroup("many", [DependencyError("away")]), 3),
        (ValueError("odd"), 1),
    ],
)
def test_errors_become_exit_codes(error: Exception, code: int) -> None:
    assert exit_code_of(error) == code
