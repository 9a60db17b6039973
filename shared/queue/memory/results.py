"""Progress and results of jobs in memory."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from shared.clock import Clock, SystemClock
from shared.jobs import Delivery
from shared.queue.memory.entry import Entry
from shared.queue.outcome import decode_outcome, encode_value
from shared.queue.port import JobOutcome

if TYPE_CHECKING:
    from shared.queue.memory.broker import MemoryBroker

FINAL = (b"done", b"discarded", b"dead")


class KeptOutcomes:
    """What is kept of jobs, by key. The caller holds the broker's lock."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[float, dict[str, bytes]]] = {}
        """Key -> until when, and its fields."""
        self._most = 1000

    def keep(self, entry: Entry, now: float, state: str, **fields: bytes) -> None:
        """Note what became of a job, if it says that this is to be kept."""
        if entry.job is None or entry.job.keep_result_seconds <= 0:
            return
        known = self.of(entry.key, now)
        until = now + entry.job.keep_result_seconds
        self._kept[entry.key] = (until, {**known, "state": state.encode(), **fields})
        if len(self._kept) > 2 * self._most:
            self._kept = {key: each for key, each in self._kept.items() if each[0] > now}
            self._most = max(1000, len(self._kept))

    def forget(self, key: str) -> None:
        """Drop what an earlier life of a job left."""
        self._kept.pop(key, None)

    def of(self, key: str, now: float) -> dict[str, bytes]:
        """Return the fields that are kept; none when nothing is, or no longer."""
        until, fields = self._kept.get(key, (now, {}))
        return fields if until > now else {}


class MemoryJobResults:
    """Reads and writes what is kept of jobs."""

    def __init__(self, broker: MemoryBroker, *, clock: Clock | None = None) -> None:
        self._broker = broker
        self._clock = clock or SystemClock()

    async def report(self, delivery: Delivery, progress: Any) -> None:
        """See JobResults.report. Does nothing either when the lease was lost."""
        with self._broker.lock:
            entry = self._broker.leased.get(delivery.token)
            if entry is not None:
                written = encode_value(progress)
                self._broker.outcomes.keep(entry, self._clock.wall(), "running", progress=written)

    async def outcome(self, key: str) -> JobOutcome | None:
        """See JobResults.outcome."""
        return decode_outcome(self._fields(key))

    async def wait(self, key: str, timeout: float) -> JobOutcome | None:
        """See JobResults.wait."""
        until = time.monotonic() + timeout
        with self._told() as told:
            while self._fields(key).get("state") not in FINAL:
                try:
                    async with asyncio.timeout(until - time.monotonic()):
                        await told.wait()
                except TimeoutError:
                    break
                told.clear()
        return await self.outcome(key)

    async def close(self) -> None:
        """See JobResults.close; there is no connection."""

    def _fields(self, key: str) -> dict[str, bytes]:
        with self._broker.lock:
            return self._broker.outcomes.of(key, self._clock.wall())

    @contextmanager
    def _told(self) -> Iterator[asyncio.Event]:
        event, loop = asyncio.Event(), asyncio.get_running_loop()

        def tell() -> None:
            loop.call_soon_threadsafe(event.set)

        with self._broker.lock:
            self._broker.listeners.add(tell)
        try:
            yield event
        finally:
            with self._broker.lock:
                self._broker.listeners.discard(tell)
