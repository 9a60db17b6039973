"""What was fired, kept in Postgres."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from shared.jobs import Job
from shared.queue.port import QueueSettings
from shared.queue.postgres.publishing import columns_of, keyed
from shared.queue.postgres.session import Session
from shared.queue.postgres.sql import statement
from shared.queue.schedules import Schedule, ScheduleState, describe

_ANNOUNCE = statement("announce")
_FIRE = statement("fire")
_SCHEDULES = statement("schedules")
_FORGET = statement("forget")


class PostgresScheduleStore:
    """Schedules of one queue. A firing and its job are one transaction."""

    def __init__(self, settings: QueueSettings, url: str) -> None:
        self._name = settings.name
        self._session = Session(url)

    async def announce(self, schedule: Schedule, next_due: float) -> float | None:
        """See ScheduleStore.announce."""
        last: float | None = await self._session.fetchval(
            _ANNOUNCE, self._name, schedule.name, describe(schedule), schedule.job.type, next_due
        )
        return last

    async def fire(self, name: str, due: float, job: Job) -> bool:
        """See ScheduleStore.fire. Raises ConfigError for a job as Queue.publish does."""
        columns = columns_of(keyed([replace(job, key=f"{name}@{due!r}")]))
        return bool(await self._session.fetchval(_FIRE, self._name, name, due, *columns))

    async def schedules(self) -> Sequence[ScheduleState]:
        """See ScheduleStore.schedules."""
        return [
            ScheduleState(
                name=row["name"],
                description=row["description"],
                job_type=row["job_type"],
                last_due=row["due"],
                next_due=row["next_due"],
            )
            for row in await self._session.fetch(_SCHEDULES, self._name)
        ]

    async def forget(self, name: str) -> bool:
        """See ScheduleStore.forget."""
        return bool(await self._session.fetchval(_FORGET, self._name, name))

    async def close(self) -> None:
        """See ScheduleStore.close."""
        await self._session.close()
