"""How a job lies in a message: one MessagePack array, told from foreign messages by its type."""

from __future__ import annotations

from contextlib import suppress
from hashlib import blake2b
from typing import Any

import msgspec
from msgspec.structs import replace

from shared.jobs import Job
from shared.queue.administration import DeadLetterRecord
from shared.queue.port import InboxDecoder

CONTENT_TYPE = "application/vnd.worker-suite.job+msgpack"


class StoredJob(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """A job with its counts. `raw` has the bytes of a message that could not be read."""

    key: str
    type: str = ""
    payload: bytes = b""
    id: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    first_seen: float = 0.0
    """Seconds since the epoch, by the clock of the process that saw it first."""
    attempts: int = 0
    crashes: int = 0
    reason: str = ""
    died_at: float = 0.0
    raw: bytes = b""

    def job(self) -> Job:
        """Return the job as it was published."""
        return Job(
            key=self.key, type=self.type, payload=self.payload, id=self.id, headers=self.headers
        )


encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(StoredJob).decode


def stored(job: Job, key: str, now: float) -> StoredJob:
    """Return what is kept of a job that is seen for the first time."""
    return StoredJob(
        key=key,
        type=job.type,
        payload=job.payload,
        id=job.id,
        headers=job.headers,
        first_seen=now,
    )


def revived(record: DeadLetterRecord, now: float) -> StoredJob:
    """Return what is kept of a dead letter that is to run again, with fresh counts."""
    if record.job is None:
        return StoredJob(key=record.key, raw=record.raw, first_seen=now)
    return stored(record.job, record.key, now)


def dead_letter(
    body: bytes, content_type: str | None, headers: dict[str, Any], decoder: InboxDecoder
) -> DeadLetterRecord:
    """Read a message of the dead-letter queue, whoever put it there.

    What the broker itself moved there names its reason in a header.
    """
    died_at, reason = _broker_says(headers)
    kept = _kept(body, content_type, died_at)
    return DeadLetterRecord(
        key=kept.key,
        reason=kept.reason or reason,
        died_at=kept.died_at or died_at,
        attempts=kept.attempts,
        crashes=kept.crashes,
        job=_job(kept, decoder),
        raw=kept.raw,
    )


def _kept(body: bytes, content_type: str | None, died_at: float) -> StoredJob:
    if content_type == CONTENT_TYPE:
        with suppress(ValueError):
            return decode(body)
    name = blake2b(body + repr(died_at).encode(), digest_size=12).hexdigest()
    return StoredJob(key=f"unread-{name}", raw=body)


def _job(kept: StoredJob, decoder: InboxDecoder) -> Job | None:
    if kept.type:
        return kept.job()
    with suppress(ValueError):
        return replace(decoder(kept.raw), key=kept.key)
    return None


def _broker_says(headers: dict[str, Any]) -> tuple[float, str]:
    deaths = headers.get("x-death") or [{}]
    at = deaths[0].get("time")
    reason = headers.get("x-first-death-reason", "for an unknown reason")
    return at.timestamp() if at else 0.0, f"moved here by RabbitMQ: {reason}"
