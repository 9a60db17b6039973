"""Fires periodic jobs. Every process of a fleet runs one; the store lets one of them fire."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import islice

import msgspec

from shared.clock import Clock, SystemClock
from shared.errors import ConnectionLostError
from shared.observability.logs import get_logger
from shared.queue.schedules import Schedule, ScheduleStore
from shared.schedules.checks import check_schedules
from shared.schedules.due_times import firings, next_due

log = get_logger(__name__)

LONGEST_WAIT_SECONDS = 30.0
"""So that a clock that was set is noticed."""
RETRY_SECONDS = 1.0
MOST_AT_ONCE = 100
"""Missed firings of one schedule before the others have their turn."""


class _Plan(msgspec.Struct):
    """What this process knows of one schedule."""

    schedule: Schedule
    last: float | None = None
    """The latest due time that this process saw fired, whatever the store says: it may forget."""
    next: float = 0.0
    announced: bool = False


class Scheduler:
    """A service that fires schedules when they are due, by this process's wall clock."""

    def __init__(
        self, store: ScheduleStore, schedules: Sequence[Schedule], clock: Clock | None = None
    ) -> None:
        """Raise ConfigError for a schedule that cannot be kept."""
        check_schedules(schedules)
        self._store = store
        self._plans = [_Plan(schedule) for schedule in schedules]
        self._clock = clock or SystemClock()

    async def run(self, stop: asyncio.Event) -> None:
        """Fire until `stop` is set; while the broker is away, try again each second."""
        stopping = asyncio.ensure_future(stop.wait())
        try:
            while not stop.is_set():
                await asyncio.wait({stopping}, timeout=await self._seconds_to_wait())
        finally:
            stopping.cancel()

    async def _seconds_to_wait(self) -> float:
        try:
            return min(LONGEST_WAIT_SECONDS, await self.fire_due())
        except ConnectionLostError as error:
            log.warning("schedules_wait", error=str(error))
            for plan in self._plans:
                plan.announced = False  # the broker that comes back may know nothing of it
            return RETRY_SECONDS

    async def fire_due(self) -> float:
        """Fire what is due now; return the seconds until something is due again."""
        for plan in self._plans:
            if not plan.announced or self._clock.wall() >= plan.next:
                await self._keep(plan)
        due = min((plan.next for plan in self._plans), default=float("inf"))
        return max(0.0, due - self._clock.wall())

    async def _keep(self, plan: _Plan) -> None:
        now, schedule = self._clock.wall(), plan.schedule
        if not plan.announced:
            plan.next = next_due(schedule, now)
            await self._announce(plan, now)
        assert plan.last is not None
        due_now = list(islice(firings(schedule, plan.last, now), MOST_AT_ONCE))
        for due in due_now:
            if await self._store.fire(schedule.name, due, schedule.job):
                log.info("schedule_fired", schedule=schedule.name, late_seconds=now - due)
            plan.last = due
        after = plan.last if len(due_now) == MOST_AT_ONCE else max(now, plan.last)
        plan.next = next_due(schedule, after)
        if due_now:
            await self._announce(plan, now)

    async def _announce(self, plan: _Plan, now: float) -> None:
        fired = await self._store.announce(plan.schedule, plan.next)
        if plan.last is None:  # else this process knows better than a broker that lost something
            plan.last = now if fired is None else min(fired, now)  # its clock may be ahead
        plan.announced = True
