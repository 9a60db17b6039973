"""Administration of a queue in Redis: list, replay, purge, cancel, pause."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shared.queue.administration import DeadLetterRecord, JobRecord, State
from shared.queue.message import decode_message, forgiving
from shared.queue.port import InboxDecoder, QueueDepth, QueueSettings
from shared.queue.redis.capabilities import CAPABILITIES
from shared.queue.redis.depth import depth_of
from shared.queue.redis.keys import keys_of
from shared.queue.redis.listing import Listing
from shared.queue.redis.scripts import MOVE_PARTS
from shared.redis.client import address_of, connect
from shared.redis.faults import translated
from shared.redis.script import Script

MOST_PER_CALL = 1000

_replay = Script("shared.queue.redis", *MOVE_PARTS, "replay.lua")
_purge = Script("shared.queue.redis", "purge.lua")
_cancel = Script("shared.queue.redis", *MOVE_PARTS, "whereabouts.lua", "cancel.lua")
_pause = Script("shared.queue.redis", "prelude.lua", "paused.lua", "pause.lua")


class RedisQueueAdmin:
    """What a person does to a queue."""

    capabilities = CAPABILITIES

    def __init__(
        self, settings: QueueSettings, url: str, *, decoder: InboxDecoder = decode_message
    ) -> None:
        self._keys = keys_of(settings.name)
        self._client = connect(url)
        self._address = address_of(self._client)
        self._listing = Listing(self._client, self._keys, forgiving(decoder))

    async def depth(self) -> QueueDepth:
        """See QueueAdmin.depth."""
        with translated(self._address):
            return await depth_of(self._client, self._keys)

    async def jobs(self, state: State, *, limit: int = 100, offset: int = 0) -> Sequence[JobRecord]:
        """See QueueAdmin.jobs."""
        with translated(self._address):
            return await self._listing.jobs(state, limit, offset)

    async def job(self, key: str) -> JobRecord | None:
        """See QueueAdmin.job. One that is ready is looked for in the ready lists, page by page."""
        with translated(self._address):
            return await self._listing.job(key)

    async def dead_letters(
        self, *, limit: int = 100, offset: int = 0
    ) -> Sequence[DeadLetterRecord]:
        """See QueueAdmin.dead_letters."""
        with translated(self._address):
            return await self._listing.dead_letters(limit, offset)

    async def replay(self, keys: Sequence[str]) -> int:
        """See QueueAdmin.replay."""
        k = self._keys
        names = [k.jobs, k.dead, k.dead_records, k.dedup, *k.ready, k.prefix]
        return await self._each_slice(_replay, names, keys)

    async def purge(self, keys: Sequence[str]) -> int:
        """See QueueAdmin.purge."""
        return await self._each_slice(_purge, [self._keys.dead, self._keys.dead_records], keys)

    async def cancel(self, keys: Sequence[str]) -> int:
        """See QueueAdmin.cancel. Each 1,000 keys cost the server a look at all that runs now."""
        k = self._keys
        names = [k.jobs, k.delayed, k.leases, k.dedup, k.prefix]
        return await self._each_slice(_cancel, names, keys)

    async def pause(self, job_type: str | None = None) -> None:
        """See QueueAdmin.pause."""
        await self._set_paused("pause", job_type)

    async def resume(self, job_type: str | None = None) -> None:
        """See QueueAdmin.resume. Workers put back what was parked, in slices."""
        await self._set_paused("resume", job_type)

    async def paused(self) -> tuple[bool, Sequence[str]]:
        """See QueueAdmin.paused."""
        with translated(self._address):
            states: Any = await self._client.hgetall(self._keys.paused)
        held = sorted(name.decode() for name, state in states.items() if state == b"paused")
        return "" in held, [name for name in held if name]

    async def close(self) -> None:
        """See QueueAdmin.close."""
        await self._client.aclose()

    async def _set_paused(self, verb: str, job_type: str | None) -> None:
        with translated(self._address):
            names = [self._keys.prefix]
            await _pause.run(self._client, names, [verb, job_type or ""])

    async def _each_slice(self, script: Script, names: list[str], keys: Sequence[str]) -> int:
        total = 0
        for at in range(0, len(keys), MOST_PER_CALL):
            with translated(self._address):
                total += await script.run(self._client, names, keys[at : at + MOST_PER_CALL])
        return total
