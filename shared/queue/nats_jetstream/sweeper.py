"""Deletes what is settled, many messages at once.

A work-queue stream would delete each message with its ack, and on a server that syncs every write
each of these deletions waits for the disk.
"""

from __future__ import annotations

import random

from shared.clock import Clock
from shared.queue.nats_jetstream.names import CONSUMERS, Names
from shared.queue.nats_jetstream.session import Session
from shared.queue.nats_jetstream.streams import made_before, succeeded

SWEEP_SECONDS = 5.0


class Sweeper:
    """Deletes, now and then, what lies below the oldest message that is not settled."""

    def __init__(self, names: Names, clock: Clock) -> None:
        self._names = names
        self._clock = clock
        self._due = clock.monotonic() + random.uniform(0.0, SWEEP_SECONDS)
        self._swept: dict[str, int] = {}

    async def sweep_if_due(self, session: Session) -> None:
        """Sweep, unless this worker did so a moment ago."""
        now = self._clock.monotonic()
        if now >= self._due:
            self._due = now + SWEEP_SECONDS
            await self.sweep(session)

    async def sweep(self, session: Session) -> None:
        """Delete what every consumer has settled."""
        calls = [f"CONSUMER.INFO.{self._names.stream}.{each}" for each in CONSUMERS]
        answers = await session.answers([await session.ask_api(call) for call in calls])
        floors = {
            name: int(made_before(session, answer)["ack_floor"]["stream_seq"])
            for name, answer in zip(CONSUMERS, answers, strict=True)
        }
        for name, floor in floors.items():
            if floor > self._swept.get(name, 0):
                wish = {"filter": self._names.filter_of(name), "seq": floor + 1}
                succeeded(await session.api(f"STREAM.PURGE.{self._names.stream}", wish))
                self._swept[name] = floor
