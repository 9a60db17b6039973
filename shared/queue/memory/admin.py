"""Administration of a queue in memory: list, replay, purge, cancel, pause."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain, islice

from shared.clock import Clock, SystemClock
from shared.jobs import Job
from shared.queue.administration import DeadLetterRecord, JobRecord, State
from shared.queue.memory.broker import MemoryBroker
from shared.queue.memory.entry import Entry
from shared.queue.memory.queue import MemoryQueue
from shared.queue.message import decode_message, forgiving
from shared.queue.port import InboxDecoder, QueueDepth


class MemoryQueueAdmin:
    """What a person does to a queue."""

    capabilities = MemoryQueue.capabilities

    def __init__(
        self,
        broker: MemoryBroker,
        *,
        decoder: InboxDecoder = decode_message,
        clock: Clock | None = None,
    ) -> None:
        self._broker = broker
        self._decoder = forgiving(decoder)
        self._clock = clock or SystemClock()

    async def depth(self) -> QueueDepth:
        """See QueueAdmin.depth."""
        with self._broker.lock:
            return self._broker.depth(self._clock.wall())

    async def jobs(self, state: State, *, limit: int = 100, offset: int = 0) -> Sequence[JobRecord]:
        """See QueueAdmin.jobs."""
        with self._broker.lock:
            if state == "inbox":
                messages = islice(reversed(self._broker.inbox), offset, offset + limit)
                return [self._message(raw) for raw in messages]
            return [
                self._record(entry, state)
                for entry in islice(self._entries(state), offset, offset + limit)
            ]

    async def job(self, key: str) -> JobRecord | None:
        """See QueueAdmin.job."""
        with self._broker.lock:
            entry = self._broker.live.get(key) or self._broker.dead.get(key)
            return self._record(entry, self._state(entry)) if entry else None

    async def dead_letters(
        self, *, limit: int = 100, offset: int = 0
    ) -> Sequence[DeadLetterRecord]:
        """See QueueAdmin.dead_letters."""
        with self._broker.lock:
            entries = islice(self._entries("dead"), offset, offset + limit)
            return [self._dead_letter(entry) for entry in entries]

    async def replay(self, keys: Sequence[str]) -> int:
        """See QueueAdmin.replay."""
        with self._broker.lock:
            return sum(self._broker.replay(key, self._clock.wall()) for key in keys)

    async def purge(self, keys: Sequence[str]) -> int:
        """See QueueAdmin.purge."""
        with self._broker.lock:
            return sum(self._broker.dead.pop(key, None) is not None for key in keys)

    async def cancel(self, keys: Sequence[str]) -> int:
        """See QueueAdmin.cancel."""
        with self._broker.lock:
            return sum(self._broker.cancel(key, self._clock.wall()) for key in keys)

    async def pause(self, job_type: str | None = None) -> None:
        """See QueueAdmin.pause."""
        with self._broker.lock:
            self._broker.pause(job_type)

    async def resume(self, job_type: str | None = None) -> None:
        """See QueueAdmin.resume."""
        with self._broker.lock:
            self._broker.resume(job_type)

    async def paused(self) -> tuple[bool, Sequence[str]]:
        """See QueueAdmin.paused."""
        with self._broker.lock:
            return self._broker.queue_paused, sorted(self._broker.parked)

    async def close(self) -> None:
        """See QueueAdmin.close; there is no connection."""

    def _entries(self, state: State) -> Iterable[Entry]:
        broker = self._broker
        if state == "dead":
            return sorted(broker.dead.values(), key=lambda each: each.died_at)
        if state == "leased":
            return sorted(broker.leased.values(), key=lambda each: each.lease_until)
        if state == "delayed":
            return [entry for _, _, entry in sorted(broker.delayed)]
        return chain.from_iterable(map(reversed, broker.lines()))

    def _state(self, entry: Entry) -> State:
        if self._broker.dead.get(entry.key) is entry:
            return "dead"
        if entry.token:
            return "leased"
        return "delayed" if any(e is entry for _, _, e in self._broker.delayed) else "ready"

    def _message(self, raw: bytes) -> JobRecord:
        return JobRecord(key="", state="inbox", job=self._decoded(raw), raw=raw)

    def _record(self, entry: Entry, state: State) -> JobRecord:
        ends = {"leased": entry.lease_until, "delayed": entry.ready_at}.get(state)
        return JobRecord(
            key=entry.key,
            state=state,
            job=self._job(entry),
            raw=entry.raw,
            attempts=entry.attempts,
            crashes=entry.crashes,
            due_in_seconds=None if ends is None else max(0.0, ends - self._clock.wall()),
            reason=entry.reason if state == "dead" else "",
            died_at=entry.died_at if state == "dead" else 0.0,
        )

    def _dead_letter(self, entry: Entry) -> DeadLetterRecord:
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
        job = entry.job or self._decoded(entry.raw)
        if job is None:
            return None
        return entry.handed_out(job)

    def _decoded(self, raw: bytes) -> Job | None:
        try:
            return self._decoder(raw)
        except ValueError:
            return None
