"""What was fired, kept in Redis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from shared.jobs import Job
from shared.queue.port import QueueSettings
from shared.queue.redis.keys import keys_of
from shared.queue.redis.scripts import PUBLISH_PARTS
from shared.queue.redis.stored_job import published_form
from shared.queue.schedules import Schedule, ScheduleState, describe
from shared.redis.client import address_of, connect
from shared.redis.faults import translated
from shared.redis.script import Script

_announce = Script("shared.queue.redis", "prelude.lua", "announce.lua")
_fire = Script("shared.queue.redis", *PUBLISH_PARTS, "fire.lua")


class RedisScheduleStore:
    """Schedules of one queue."""

    def __init__(self, settings: QueueSettings, url: str) -> None:
        self._keys = keys_of(settings.name)
        self._client = connect(url)
        self._address = address_of(self._client)

    async def announce(self, schedule: Schedule, next_due: float) -> float | None:
        """See ScheduleStore.announce."""
        names = [*self._keys.schedules, self._keys.prefix]
        arguments = [schedule.name, describe(schedule), schedule.job.type, repr(next_due)]
        with translated(self._address):
            return float(await _announce.run(self._client, names, arguments))

    async def fire(self, name: str, due: float, job: Job) -> bool:
        """See ScheduleStore.fire."""
        k = self._keys
        names = [k.jobs, k.delayed, k.dedup, *k.ready, k.schedules[1], k.prefix]
        arguments = [name, repr(due), *published_form(job, f"{name}@{due!r}")]
        with translated(self._address):
            return bool(await _fire.run(self._client, names, arguments))

    async def schedules(self) -> Sequence[ScheduleState]:
        """See ScheduleStore.schedules."""
        announced, fired = self._keys.schedules
        with translated(self._address):
            known: Any = await self._client.hgetall(announced)
            last: Any = await self._client.hgetall(fired)
        return [_state(name, known[name], last.get(name)) for name in sorted(known)]

    async def forget(self, name: str) -> bool:
        """See ScheduleStore.forget."""
        announced, fired = self._keys.schedules
        with translated(self._address):
            await self._client.hdel(fired, name)
            return bool(await self._client.hdel(announced, name))

    async def close(self) -> None:
        """See ScheduleStore.close."""
        await self._client.aclose()


def _state(name: bytes, announced: bytes, last_due: bytes | None) -> ScheduleState:
    description, job_type, next_due, _since = msgspec.msgpack.decode(announced)
    return ScheduleState(
        name=name.decode(),
        description=description,
        job_type=job_type,
        last_due=None if last_due is None else float(last_due),
        next_due=float(next_due),
    )
