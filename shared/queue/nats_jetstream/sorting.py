"""Decides what becomes of each claimed message: handed out, set apart, buried, or given back."""

from __future__ import annotations

import time
from collections.abc import Sequence

from msgspec.structs import replace

from shared.clock import Clock
from shared.jobs import Delivery
from shared.queue.nats_jetstream.leases import Lease, Leases
from shared.queue.nats_jetstream.names import fingerprint
from shared.queue.nats_jetstream.received import Received
from shared.queue.nats_jetstream.settlement import SUSPECT_CRASHES, Ending, Endings
from shared.queue.nats_jetstream.stored_job import StoredDeadLetter, StoredJob, decode_job, stored
from shared.queue.nats_jetstream.streams import Origin
from shared.queue.port import InboxDecoder, QueueSettings


class Sorted:
    """What a claim brought."""

    def __init__(self) -> None:
        self.deliveries: list[Delivery] = []
        self.endings: list[Ending] = []
        """Of messages that are not handed out."""
        self.suspect = ""
        """Token of the suspect that is handed out."""
        self.moved = False
        """Whether a suspect was found among the others, and set apart."""
        self.more = False
        """Whether there is more to claim."""

    def add(self, other: Sorted) -> None:
        """Add what a second claim brought; suspects come first."""
        self.deliveries[:] = (
            other.deliveries + self.deliveries
            if other.suspect
            else self.deliveries + other.deliveries
        )
        self.more = self.more or other.more or bool(other.endings)


class Sorting:
    """Reads messages for one consumer."""

    def __init__(
        self, settings: QueueSettings, decoder: InboxDecoder, clock: Clock, leases: Leases
    ) -> None:
        self._settings = settings
        self._decoder = decoder
        self._clock = clock
        self._leases = leases

    def sort(
        self, messages: Sequence[Received], room: int, make: Endings, origin: Origin
    ) -> Sorted:
        """Sort messages; up to `room` of them may be handed out."""
        found = Sorted()
        now = self._clock.monotonic()
        for message in messages:
            left = message.asked_at + self._leases.seconds - now
            if left <= 0:
                continue  # it came for a call that was given up, and others may have it by now
            try:
                job = self._job(message, origin)
            except ValueError as error:
                found.endings.append(make.buried(message.token, _unreadable(message, error)))
                continue
            job = replace(job, crashes=job.crashes + message.deliveries - 1)
            self._place(message, job, left, room, make, found, origin)
        found.more = bool(messages) and messages[-1].more
        return found

    def _place(
        self,
        message: Received,
        job: StoredJob,
        left: float,
        room: int,
        make: Endings,
        found: Sorted,
        origin: Origin,
    ) -> None:
        suspect = job.crashes >= SUSPECT_CRASHES
        if job.crashes >= self._settings.max_crashes:
            reason = f"its lease expired {job.crashes} times"
            letter = StoredDeadLetter(job.key, reason, job.attempts, job.crashes, job)
            found.endings.append(make.buried(message.token, letter))
        elif suspect and message.consumer != "suspects":
            found.moved = True
            found.endings.append(make.later(message.token, job, 0.0))
        elif len(found.deliveries) >= room or left < self._leases.seconds / 2:
            found.endings.append(make.later(message.token, job, 0.0))
        else:
            if suspect:
                found.suspect = message.token
            found.deliveries.append(self._delivery(message, job, origin))

    def _job(self, message: Received, origin: Origin) -> StoredJob:
        if message.consumer != "inbox":
            found = decode_job(message.body)
            return found if found.first_seen_ms else replace(found, first_seen_ms=message.stored_ms)
        job = self._decoder(message.body)
        key = f"{fingerprint(origin.name)[:12]}-{message.sequence}"
        return stored(replace(job, key=key), message.stored_ms)

    def _delivery(self, message: Received, job: StoredJob, origin: Origin) -> Delivery:
        until = message.asked_at + self._leases.seconds
        self._leases.add(message.token, Lease(job.first_seen_ms, until))
        now_ms = (time.time() + origin.clock_ahead_seconds) * 1000
        return Delivery(
            job=job.job(),
            token=message.token,
            attempt=job.attempts + 1,
            crashes=job.crashes,
            lease_until=until,
            age_seconds=max(0.0, now_ms - job.first_seen_ms) / 1000,
        )


def _unreadable(message: Received, error: ValueError) -> StoredDeadLetter:
    key = f"{message.consumer}-{message.sequence}-{message.stored_ms}"
    return StoredDeadLetter(
        key, f"unreadable: {error}", 1, 0, None, raw=message.body, subject=message.subject
    )
