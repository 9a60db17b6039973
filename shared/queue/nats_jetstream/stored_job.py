"""The form in which jobs and dead letters lie in their streams."""

from __future__ import annotations

import msgspec

from shared.jobs import Job, Priority
from shared.queue.administration import DeadLetterRecord


class StoredJob(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The body of a message of `publish`; one of the inbox is whatever was pushed."""

    key: str
    type: str
    payload: bytes
    id: str
    priority: int
    first_seen_ms: int
    """0: when the stream took the message."""
    attempts: int = 0
    crashes: int = 0
    """Expired leases of the messages that held this job before; the broker counts those of this
    one."""
    headers: tuple[tuple[str, str], ...] = ()

    def job(self) -> Job:
        """Return the job as it is handed out."""
        return Job(
            type=self.type,
            payload=self.payload,
            id=self.id,
            key=self.key,
            priority=_PRIORITIES[self.priority],
            headers=self.headers,
        )


class StoredDeadLetter(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The body of a dead letter."""

    key: str
    reason: str
    attempts: int
    crashes: int
    job: StoredJob | None
    raw: bytes = b""
    """The message's bytes when it could not be read."""
    subject: str = ""
    """Where such a message came from."""


LONGEST_REASON = 2000
"""Characters of a dead letter's reason that are kept."""

_PRIORITIES = {int(priority): priority for priority in Priority}
_encoder = msgspec.msgpack.Encoder()
_jobs = msgspec.msgpack.Decoder(StoredJob)
_letters = msgspec.msgpack.Decoder(StoredDeadLetter)


def stored(job: Job, first_seen_ms: int, attempts: int = 0, crashes: int = 0) -> StoredJob:
    """Return what is stored of a job."""
    return StoredJob(
        job.key, job.type, job.payload, job.id, int(job.priority), first_seen_ms,
        attempts, crashes, job.headers,
    )  # fmt: skip


def encode(body: StoredJob | StoredDeadLetter) -> bytes:
    """Return the body of a message."""
    return _encoder.encode(body)


def decode_job(body: bytes) -> StoredJob:
    """Read the body of a job. Raises ValueError when it cannot be read."""
    found = _jobs.decode(body)
    if found.priority not in _PRIORITIES:
        raise ValueError(f"no priority {found.priority}")
    return found


def decode_dead_letter(body: bytes) -> StoredDeadLetter:
    """Read the body of a dead letter. Raises ValueError when it cannot be read."""
    return _letters.decode(body)


def record_of(letter: StoredDeadLetter, died_at: float) -> DeadLetterRecord:
    """Return a dead letter as people see it."""
    return DeadLetterRecord(
        key=letter.key,
        reason=letter.reason,
        died_at=died_at,
        attempts=letter.attempts,
        crashes=letter.crashes,
        job=letter.job.job() if letter.job else None,
        raw=letter.raw,
    )
