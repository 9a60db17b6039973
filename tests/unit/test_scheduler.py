"""The service that fires periodic jobs: one firing in a fleet, none twice, none lost."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from shared.clock import FrozenClock
from shared.errors import ConnectionLostError
from shared.jobs import Job
from shared.queue.memory.broker import MemoryBroker
from shared.queue.memory.schedules import MemoryScheduleStore
from shared.queue.schedules import Schedule
from shared.schedules import scheduler as module
from shared.schedules.scheduler import Scheduler

START = 1_700_000_040.0
"""A whole minute."""


class Fleet:
    """A broker and a clock that several schedulers share."""

    def __init__(self) -> None:
        self.clock = FrozenClock(START + 5.0)
        self.broker = MemoryBroker()
        self.store = MemoryScheduleStore(self.broker, clock=self.clock)

    def scheduler(self, *schedules: Schedule) -> Scheduler:
        return Scheduler(self.store, schedules, self.clock)

    def fired(self) -> list[float]:
        return [float(key.partition("@")[2]) - START for key in self.broker.live]


def every(seconds: float = 60.0, **options: Any) -> Schedule:
    return Schedule(**{"name": "s", "job": Job(type="t"), "every_seconds": seconds, **options})


async def test_a_schedule_fires_when_it_is_due_and_not_at_its_start() -> None:
    fleet = Fleet()
    scheduler = fleet.scheduler(every(60.0))
    assert await scheduler.fire_due() == 55.0
    assert fleet.fired() == []
    fleet.clock.advance(55.0)
    assert await scheduler.fire_due() == 60.0
    assert fleet.fired() == [60.0]
    (state,) = await fleet.store.schedules()
    assert (state.last_due, state.next_due) == (START + 60.0, START + 120.0)


async def test_a_fleet_fires_once() -> None:
    fleet = Fleet()
    schedulers = [fleet.scheduler(every(60.0), every(90.0, name="other")) for _ in range(3)]
    for _ in range(30):
        await asyncio.gather(*(each.fire_due() for each in schedulers))
        fleet.clock.advance(10.0)
    assert sorted(fleet.fired()) == sorted([60.0, 120.0, 180.0, 240.0, 60.0, 150.0, 240.0])


async def test_what_was_missed_while_nobody_ran_is_fired_by_policy() -> None:
    expected = {"skip": [], "latest": [180.0], "all": [60.0, 120.0, 180.0]}
    for missed, dues in expected.items():
        fleet = Fleet()
        await fleet.scheduler(every(missed=missed)).fire_due()
        fleet.clock.advance(200.0)
        await fleet.scheduler(every(missed=missed)).fire_due()
        assert fleet.fired() == dues, missed


async def test_many_missed_firings_leave_the_others_their_turn() -> None:
    fleet = Fleet()
    both = (every(1.0, missed="all"), every(60.0, name="other"))
    await fleet.scheduler(*both).fire_due()
    fleet.clock.advance(250.0)
    scheduler = fleet.scheduler(*both)
    assert await scheduler.fire_due() == 0.0, "there is more"
    assert len(fleet.fired()) == module.MOST_AT_ONCE + 1
    while await scheduler.fire_due() == 0.0:
        pass
    assert len(fleet.fired()) == 250 + 1


async def test_a_failover_that_lost_the_last_second_fires_nothing_twice() -> None:
    fleet = Fleet()
    schedulers = [fleet.scheduler(every(60.0)) for _ in range(2)]
    for each in schedulers:
        await each.fire_due()
    fleet.clock.advance(55.0)
    for each in schedulers:
        await each.fire_due()
    fleet.broker.fired.clear()  # the replica had not heard of it
    fleet.broker.live.clear()
    fleet.clock.advance(1.0)
    for each in schedulers:
        each._plans[0].announced = False  # as after a lost connection
        await each.fire_due()
    assert fleet.fired() == []
    fleet.clock.advance(60.0)
    for each in schedulers:
        await each.fire_due()
    assert fleet.fired() == [120.0]


async def test_a_clock_that_is_set_back_fires_nothing_twice() -> None:
    fleet = Fleet()
    scheduler = fleet.scheduler(every(60.0))
    await scheduler.fire_due()
    fleet.clock.advance(56.0)
    await scheduler.fire_due()
    fleet.broker.fired.clear()
    fleet.clock._wall -= 30.0
    scheduler._plans[0].announced = False
    assert await scheduler.fire_due() == 89.0
    fleet.clock.advance(30.0)
    await scheduler.fire_due()
    assert fleet.fired() == [60.0]


async def test_processes_whose_clocks_differ_fire_each_due_time_once() -> None:
    fleet = Fleet()
    ahead = FrozenClock(START + 7.0)
    first = Scheduler(fleet.store, [every()], ahead)
    second = fleet.scheduler(every())
    for _ in range(100):
        await first.fire_due()
        await second.fire_due()
        ahead.advance(3.0)
        fleet.clock.advance(3.0)
    assert fleet.fired() == [60.0, 120.0, 180.0, 240.0, 300.0]


async def test_a_broker_whose_clock_is_ahead_delays_no_firing() -> None:
    fleet = Fleet()
    fleet.store = MemoryScheduleStore(fleet.broker, clock=FrozenClock(START + 3600.0))
    scheduler = fleet.scheduler(every())
    await scheduler.fire_due()
    fleet.clock.advance(60.0)
    await scheduler.fire_due()
    assert fleet.fired() == [60.0]


class _Cut(MemoryScheduleStore):
    """A store whose connection breaks before or after the call was carried out."""

    def __init__(self, fleet: Fleet, cuts: Sequence[str]) -> None:
        super().__init__(fleet.broker, clock=fleet.clock)
        self.cuts = list(cuts)
        self.calls = 0

    async def fire(self, name: str, due: float, job: Job) -> bool:
        self.calls += 1
        cut = self.cuts.pop(0) if self.cuts else ""
        if cut == "before":
            raise ConnectionLostError("cut")
        fired = await super().fire(name, due, job)
        if cut == "after":
            raise ConnectionLostError("cut")
        return fired


async def test_a_broker_that_goes_away_is_asked_again_and_nothing_is_lost_or_doubled(
    monkeypatch: Any,
) -> None:
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.0)
    fleet = Fleet()
    store = _Cut(fleet, ["before", "after"])
    stop = asyncio.Event()
    scheduler = Scheduler(store, [every(), every(3600.0, name="hourly")], fleet.clock)
    await scheduler.fire_due()
    fleet.broker.schedules.clear()  # what comes back knows nothing
    fleet.clock.advance(60.0)
    running = asyncio.create_task(scheduler.run(stop))
    async with asyncio.timeout(10.0):
        while store.calls < 2 or not all(each.announced for each in scheduler._plans):
            await asyncio.sleep(0)
    stop.set()
    await running
    assert fleet.fired() == [60.0]
    assert [each.name for each in await fleet.store.schedules()] == ["hourly", "s"]


async def test_a_scheduler_without_schedules_waits_for_its_end() -> None:
    stop = asyncio.Event()
    running = asyncio.create_task(Fleet().scheduler().run(stop))
    await asyncio.wait([running], timeout=0.05)
    assert not running.done()
    stop.set()
    await running
