"""What was fired, kept in memory."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from shared.clock import Clock, SystemClock
from shared.jobs import Job
from shared.queue.memory.broker import MemoryBroker
from shared.queue.schedules import Schedule, ScheduleState, describe


class MemoryScheduleStore:
    """Schedules of one queue."""

    def __init__(self, broker: MemoryBroker, *, clock: Clock | None = None) -> None:
        self._broker = broker
        self._clock = clock or SystemClock()

    async def announce(self, schedule: Schedule, next_due: float) -> float | None:
        """See ScheduleStore.announce."""
        with self._broker.lock:
            known = self._broker.schedules.get(schedule.name)
            same = known is not None and known[0].description == describe(schedule)
            since = known[1] if known and same else self._clock.wall()
            last = self._broker.fired.get(schedule.name)
            state = ScheduleState(
                name=schedule.name,
                description=describe(schedule),
                job_type=schedule.job.type,
                last_due=last,
                next_due=next_due,
            )
            self._broker.schedules[schedule.name] = (state, since)
            return since if last is None else max(last, since)

    async def fire(self, name: str, due: float, job: Job) -> bool:
        """See ScheduleStore.fire."""
        with self._broker.lock:
            last = self._broker.fired.get(name)
            if last is not None and last >= due:
                return False
            self._broker.publish(replace(job, key=f"{name}@{due!r}"), self._clock.wall())
            self._broker.fired[name] = due
            return True

    async def schedules(self) -> Sequence[ScheduleState]:
        """See ScheduleStore.schedules."""
        with self._broker.lock:
            known, fired = self._broker.schedules, self._broker.fired
            return [replace(known[name][0], last_due=fired.get(name)) for name in sorted(known)]

    async def forget(self, name: str) -> bool:
        """See ScheduleStore.forget."""
        with self._broker.lock:
            self._broker.fired.pop(name, None)
            return self._broker.schedules.pop(name, None) is not None

    async def close(self) -> None:
        """See ScheduleStore.close; there is no connection."""
