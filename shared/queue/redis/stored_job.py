"""The form in which jobs and dead letters lie in Redis, shared with the scripts beside this file.

A stored job is a header of 32 bytes, the deduplication key, and the body. The header: kind (`j`
a job of `publish`, `r` a raw message of the inbox, `x` a job with a lane or a result to keep),
priority, first seen (13 digits, milliseconds), ready at (the same), length of the deduplication key
(4 hex digits). In the kind `x` the lane (length in 4 hex digits, name) and the milliseconds to keep
the result (13 digits) come before the body.
"""

from __future__ import annotations

import msgspec

from shared.jobs import Job, Priority
from shared.queue.administration import DeadLetterRecord
from shared.queue.port import InboxDecoder
from shared.redis.script import Argument

HEADER_BYTES = 32
LONGEST_NAME = 0xFFFF
"""Bytes of a deduplication key, and of a lane."""
RAW = ord("r")
_EXTENDED = ord("x")
_PLAIN, _NO_TWIN = b"j1", b"0000"
"""A published job of normal priority, and the length of its deduplication key when it has none."""
_PRIORITIES = {ord(str(int(priority))): priority for priority in Priority}


class _Body(msgspec.Struct, frozen=True, array_like=True, gc=False):
    type: str
    payload: bytes
    id: str
    headers: tuple[tuple[str, str], ...] = ()


_body = msgspec.msgpack.Decoder(_Body)
_encoder = msgspec.msgpack.Encoder()


def published_form(job: Job, key: str) -> tuple[Argument, ...]:
    """Return the five arguments of publish_jobs.lua. Raises ValueError for a name too long."""
    dedup = job.dedup_key.encode()
    if len(dedup) > LONGEST_NAME or len(job.lane.encode()) > LONGEST_NAME:
        raise ValueError(f"deduplication keys and lanes have at most {LONGEST_NAME} bytes")
    delay_ms = max(0, round(job.delay_seconds * 1000))
    return key, delay_ms, encode_options(job), dedup, encode_body(job)


def encode_body(job: Job) -> bytes:
    """Return what comes last in a stored job."""
    if job.headers:
        return _encoder.encode((job.type, job.payload, job.id, job.headers))
    return _encoder.encode((job.type, job.payload, job.id))


def encode_options(job: Job) -> str | bytes:
    """Return the priority, and behind it what only some jobs ask for; see publish_jobs.lua."""
    priority = str(int(job.priority))
    window, keep = _milliseconds(job.dedup_window_seconds), _milliseconds(job.keep_result_seconds)
    if not (window or job.replace or job.lane or keep):
        return priority
    return priority.encode() + _encoder.encode((window, job.replace, job.lane, keep))


def decode_job(key: str, stored: bytes, decoder: InboxDecoder) -> Job:
    """Read a stored job. Raises ValueError when its body cannot be read."""
    if stored.startswith(_PLAIN) and stored[28:32] == _NO_TWIN:  # nearly all jobs
        body = _body.decode(stored[HEADER_BYTES:])
        if not body.headers:
            return Job(type=body.type, payload=body.payload, id=body.id, key=key)
    if stored[0] == RAW:
        job = decoder(stored[HEADER_BYTES:])
        return msgspec.structs.replace(job, key=key, keep_result_seconds=0.0)
    start = HEADER_BYTES + int(stored[28:32], 16)
    dedup_key = stored[HEADER_BYTES:start].decode() if start > HEADER_BYTES else ""
    lane, keep = "", 0.0
    if stored[0] == _EXTENDED:
        lane, end = _lane_at(stored, start)
        keep = int(stored[end : end + 13]) / 1000.0
        start = end + 13
    body = _body.decode(memoryview(stored)[start:])
    return Job(
        type=body.type,
        payload=body.payload,
        id=body.id,
        key=key,
        priority=_PRIORITIES[stored[1]],
        dedup_key=dedup_key,
        lane=lane,
        headers=body.headers,
        keep_result_seconds=keep,
    )


def lane_of(stored: bytes) -> str:
    """Return the lane of a stored job; empty when it has none."""
    if stored[0] != _EXTENDED:
        return ""
    return _lane_at(stored, HEADER_BYTES + int(stored[28:32], 16))[0]


def _lane_at(stored: bytes, start: int) -> tuple[str, int]:
    end = start + 4 + int(stored[start : start + 4], 16)
    return stored[start + 4 : end].decode(), end


def raw_of(stored: bytes) -> bytes:
    """Return the bytes of a message of the inbox; none for a job of `publish`."""
    return stored[HEADER_BYTES:] if stored[0] == RAW else b""


def first_seen_ms(stored: bytes) -> int:
    """Return when the queue first saw the job, by the server's clock."""
    return int(stored[2:15])


def decode_dead_letter(key: str, record: bytes, decoder: InboxDecoder) -> DeadLetterRecord:
    """Read a record `died:epoch:attempts:crashes:length of reason:reason` + stored job."""
    died, _epoch, attempts, crashes, length, rest = record.split(b":", 5)
    stored = rest[int(length) :]
    job: Job | None
    try:
        job = decode_job(key, stored, decoder)
    except ValueError:
        job = None
    return DeadLetterRecord(
        key=key,
        reason=rest[: int(length)].decode(errors="replace"),
        died_at=int(died) / 1000.0,
        attempts=int(attempts),
        crashes=int(crashes),
        job=job,
        raw=raw_of(stored),
    )


def _milliseconds(seconds: float) -> int:
    return max(0, round(seconds * 1000))
