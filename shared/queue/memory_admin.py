"""Dead letters in memory: list, replay, purge."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from shared.clock import Clock, SystemClock
from shared.jobs import Job
from shared.queue.administration import DeadLetterRecord
from shared.queue.memory_broker import Entry, MemoryBroker
from shared.queue.message import decode_message
from shared.queue.port import InboxDecoder


class MemoryQueueAdmin:
    """What a person does to a queue."""

    def __init__(
        self,
        broker: MemoryBroker,
        *,
        decoder: InboxDecoder = decode_message,
        clock: Clock | None = None,
    ) -> None:
        self._broker = broker
        self._decoder = decoder
        self._clock = clock or SystemClock()

    async def dead_letters(
        self, *, limit: int = 100, offset: int = 0
    ) -> Sequence[DeadLetterRecord]:
        """See QueueAdmin.dead_letters."""
        with self._broker.lock:
            entries = sorted(self._broker.dead.values(), key=lambda each: each.died_at)
            return [self._record(entry) for entry in entries[offset : offset + limit]]

    async def replay(self, keys: Sequence[str]) -> int:
        """See QueueAdmin.replay."""
        with self._broker.lock:
            return sum(self._broker.replay(key, self._clock.wall()) for key in keys)

    async def purge(self, keys: Sequence[str]) -> int:
        """See QueueAdmin.purge."""
        with self._broker.lock:
            return sum(self._broker.dead.pop(key, None) is not None for key in keys)

    async def close(self) -> None:
        """See QueueAdmin.close; there is no connection."""

    def _record(self, entry: Entry) -> DeadLetterRecord:
        return DeadLetterRecord(
            key=entry.key,
            reason=entry.reason,
            died_at=entry.died_at,
            attempts=entry.attempts,
            crashes=entry.crashes,
            job=self._job(entry),
            raw=entry.raw,
        )

    def _job(self, entry: Entry) -> Job | None:
        if entry.job is not None:
            return replace(entry.job, key=entry.key)
        try:
            return replace(self._decoder(entry.raw), key=entry.key)
        except ValueError:
            return None
