"""Carries verdicts to the server: what goes on is stored again first, then the old is acked.

A message never changes, so a job that comes back with other counts is a new message, and the
broker's own count of deliveries is left to mean one thing: expired leases.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from shared.jobs import Priority
from shared.queue.nats_jetstream.names import Names, fingerprint
from shared.queue.nats_jetstream.received import consumer_of, sequence_of
from shared.queue.nats_jetstream.session import Session
from shared.queue.nats_jetstream.store import Message, store
from shared.queue.nats_jetstream.stored_job import (
    LONGEST_REASON,
    StoredDeadLetter,
    StoredJob,
    encode,
    stored,
)
from shared.queue.nats_jetstream.streams import Origin
from shared.verdicts import DeadLetter, Discard, Done, HandBack, Retry, Settlement, Snooze

SUSPECT_CRASHES = 2
"""A job whose lease expired so often is handed out alone among its like in a process."""
_ACK = b"+ACK"
_KEPT_BYTES = 16_384
"""Less than a message may have is kept of a letter that is too large: the rest is its reason."""
IN_PROGRESS = b"+WPI"


class Ending(msgspec.Struct, frozen=True):
    """How one delivery ends: with what is stored first, if anything."""

    token: str
    goes_on: Message | None = None
    dead: Message | None = None
    answer: bytes = _ACK


class Endings:
    """Makes endings from verdicts."""

    def __init__(self, names: Names, origin: Origin, largest_body: int) -> None:
        self._names = names
        self._origin = origin
        self._largest_body = largest_body

    def of(self, settlement: Settlement, first_seen_ms: int) -> Ending:
        """Return the ending that a verdict means."""
        delivery, verdict = settlement.delivery, settlement.verdict
        if type(verdict) is Done or type(verdict) is Discard:
            return Ending(delivery.token)
        failed = isinstance(verdict, Retry | DeadLetter)
        attempts = delivery.attempt if failed else delivery.attempt - 1
        job = stored(delivery.job, first_seen_ms, attempts, delivery.crashes)
        match verdict:
            case Retry(after=after):
                return self.later(delivery.token, job, after or 0.0)
            case Snooze(after=after):
                return self.later(delivery.token, job, after)
            case HandBack():
                return self.later(delivery.token, job, 0.0)
            case DeadLetter(reason=reason):
                return self.buried(
                    delivery.token, StoredDeadLetter(job.key, reason, attempts, job.crashes, job)
                )
        raise TypeError(f"not a verdict of a queue: {verdict!r}")

    def later(self, token: str, job: StoredJob, after: float) -> Ending:
        """Let a job wait again. One of the inbox that cannot be stored with what is known of it
        goes back as it is, and the server counts that."""
        unique = self._unique(token)
        message = waiting(self._names, self._origin, job, unique, after)
        if len(message.body) > self._largest_body:
            delay = int(max(0.0, after) * 1e9)
            return Ending(token, answer=b'-NAK {"delay": %d}' % delay)
        return Ending(token, goes_on=message)

    def buried(self, token: str, letter: StoredDeadLetter) -> Ending:
        """Make a job a dead letter."""
        letter = msgspec.structs.replace(letter, reason=letter.reason[:LONGEST_REASON])
        subject, body = self._names.dead(letter.key), encode(letter)
        if len(body) > self._largest_body:
            body = encode(self._cut(letter))
        return Ending(token, dead=Message(subject, body, self._unique(token)))

    def _cut(self, letter: StoredDeadLetter) -> StoredDeadLetter:
        raw = letter.raw or (letter.job.payload if letter.job else b"")
        kept = raw[: self._largest_body - _KEPT_BYTES]
        reason = f"{letter.reason} (too large: {len(kept)} of {len(raw)} bytes are kept)"
        subject = letter.subject or self._names.inbox
        return msgspec.structs.replace(letter, job=None, raw=kept, reason=reason, subject=subject)

    def _unique(self, token: str) -> str:
        # One message goes on once, whoever settles it and however often.
        return f"from:{self._origin.name}:{sequence_of(token)}"


def waiting(names: Names, origin: Origin, job: StoredJob, unique: str, after: float) -> Message:
    """Return the message of a job that may be claimed after so many seconds."""
    target = names.ready(Priority(job.priority), suspect=job.crashes >= SUSPECT_CRASHES)
    if after <= 0:
        return Message(target, encode(job), unique)
    due = time.time() + origin.clock_ahead_seconds + after
    at = datetime.fromtimestamp(due, UTC).isoformat().replace("+00:00", "Z")
    headers = {"Nats-Schedule": f"@at {at}", "Nats-Schedule-Target": target}
    return Message(names.delayed(fingerprint(unique)), encode(job), unique, headers)


async def settle(session: Session, endings: Sequence[Ending]) -> list[asyncio.Future[Any]]:
    """Store what goes on, then send all acks in one write.

    Returns the answers to await, one a consumer: it takes what it is sent in order. They are asked
    for with a sign of progress, since a server that was killed and forgot a delivery never answers
    its ack.
    """
    for kept in ([e.goes_on for e in endings if e.goes_on], [e.dead for e in endings if e.dead]):
        await store(session, kept)
    for ending in endings:
        await session.tell(ending.token, ending.answer)
    last = {consumer_of(ending.token): ending.token for ending in endings}
    return [await session.ask(token, IN_PROGRESS) for token in last.values()]
