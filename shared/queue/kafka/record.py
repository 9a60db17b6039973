"""How a job lies in a topic: its payload is the value, all else is one header."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from shared.jobs import Job
from shared.queue.port import InboxDecoder

HEADER = "job"
Headers = Sequence[tuple[str, bytes]]


class Stored(msgspec.Struct, array_like=True, gc=False):
    """The header of a job; a record without it is a message of the inbox."""

    key: str
    type: str | None
    """None for a message of the inbox that was moved: the value has its bytes, unread."""
    id: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    first_seen: float = 0.0
    due: float = 0.0
    """Seconds since the epoch before which it is not handed out."""
    attempts: int = 0
    crashes: int = 0
    reason: str = ""
    """Of a dead letter."""
    died_at: float = 0.0


class Record(Protocol):
    """What is used of a record of the client."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers


class Outgoing(msgspec.Struct, frozen=True, gc=False):
    """A record on its way into a topic."""

    topic: str
    partition: int | None
    """None: any."""
    key: bytes
    value: bytes | None
    stored: Stored | None
    """None, with no value either, deletes what a compacted topic has under the key."""

    @property
    def headers(self) -> Headers:
        """The header, encoded."""
        return [(HEADER, _encoder.encode(self.stored))] if self.stored else []


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Stored)


def stored_of(job: Job, key: str, now: float) -> Stored:
    """Return the header of a job that is published now."""
    due = now + job.delay_seconds if job.delay_seconds > 0 else 0.0
    return Stored(key, job.type, job.id, job.headers, now, due)


def read_stored(record: Record, origin: str) -> Stored:
    """Return a record's header, or make that of a message of the inbox.

    A header that cannot be read is taken for somebody else's. The key of a message is made of
    `origin` and of its place, so it is the same at every reading.
    """
    for name, value in record.headers:
        if name == HEADER:
            try:
                return _decoder.decode(value)
            except msgspec.MsgspecError:
                break
    key = f"{origin}-{record.topic}-{record.partition}-{record.offset}"
    return Stored(key, None, first_seen=record.timestamp / 1000.0)


def job_of(stored: Stored, value: bytes | None, decoder: InboxDecoder) -> Job:
    """Return the job of a record. Raises ValueError when the message cannot be read."""
    if stored.type is None:
        return msgspec.structs.replace(decoder(value or b""), key=stored.key, delay_seconds=0.0)
    return Job(
        type=stored.type,
        payload=value or b"",
        id=stored.id,
        key=stored.key,
        headers=stored.headers,
    )
