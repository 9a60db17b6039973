"""How a job lies in its row: type, key and deduplication key in columns, the rest in the body."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from shared.jobs import Job, Priority
from shared.queue.port import InboxDecoder


class _Body(msgspec.Struct, frozen=True, array_like=True, gc=False):
    payload: bytes
    id: str
    headers: tuple[tuple[str, str], ...] = ()


_body = msgspec.msgpack.Decoder(_Body)
_encoder = msgspec.msgpack.Encoder()
_PRIORITIES = {int(each): each for each in Priority}


def encode_body(job: Job) -> bytes:
    """Return what no statement looks at."""
    if job.headers:
        return _encoder.encode((job.payload, job.id, job.headers))
    return _encoder.encode((job.payload, job.id))


def decode_job(row: Mapping[str, Any], decoder: InboxDecoder) -> Job:
    """Read a row. Raises ValueError when a message of the inbox cannot be read."""
    key = row["key"].decode()
    if row["raw"]:
        return msgspec.structs.replace(decoder(row["body"]), key=key)
    body = _body.decode(row["body"])
    dedup_key = row["dedup_key"]
    return Job(
        type=row["type"].decode(),
        payload=body.payload,
        id=body.id,
        key=key,
        priority=_PRIORITIES[row["priority"]],
        dedup_key=dedup_key.decode() if dedup_key else "",
        headers=body.headers,
    )
