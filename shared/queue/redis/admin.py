"""Dead letters in Redis: list, replay, purge."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shared.queue.administration import DeadLetterRecord
from shared.queue.message import decode_message
from shared.queue.port import InboxDecoder, QueueSettings
from shared.queue.redis.keys import keys_of
from shared.queue.redis.stored_job import decode_dead_letter
from shared.redis.client import address_of, connect
from shared.redis.faults import translated
from shared.redis.script import Script

MOST_PER_CALL = 1000

_replay = Script("shared.queue.redis", "replay.lua")
_purge = Script("shared.queue.redis", "purge.lua")


class RedisQueueAdmin:
    """What a person does to a queue."""

    def __init__(
        self, settings: QueueSettings, url: str, *, decoder: InboxDecoder = decode_message
    ) -> None:
        self._keys = keys_of(settings.name)
        self._client = connect(url)
        self._address = address_of(self._client)
        self._decoder = decoder

    async def dead_letters(
        self, *, limit: int = 100, offset: int = 0
    ) -> Sequence[DeadLetterRecord]:
        """See QueueAdmin.dead_letters."""
        with translated(self._address):
            keys: Any = await self._client.zrange(self._keys.dead, offset, offset + limit - 1)
            if not keys:
                return []
            records: Any = await self._client.hmget(self._keys.dead_records, keys)
        return [
            decode_dead_letter(key.decode(), record, self._decoder)
            for key, record in zip(keys, records, strict=True)
            if record is not None
        ]

    async def replay(self, keys: Sequence[str]) -> int:
        """See QueueAdmin.replay."""
        k = self._keys
        names = [k.jobs, k.dead, k.dead_records, k.dedup, k.wake, *k.ready]
        return await self._each_slice(_replay, names, keys)

    async def purge(self, keys: Sequence[str]) -> int:
        """See QueueAdmin.purge."""
        return await self._each_slice(_purge, [self._keys.dead, self._keys.dead_records], keys)

    async def close(self) -> None:
        """See QueueAdmin.close."""
        await self._client.aclose()

    async def _each_slice(self, script: Script, names: list[str], keys: Sequence[str]) -> int:
        total = 0
        for at in range(0, len(keys), MOST_PER_CALL):
            with translated(self._address):
                total += await script.run(self._client, names, keys[at : at + MOST_PER_CALL])
        return total
