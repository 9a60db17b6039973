"""The wire format of the inbox: what a program in any language pushes.

    {"id": "1", "type": "index_document", "payload": {"document_id": "doc-1"}}

Names are read in any case, since Go without tags writes `ID`, `Type` and `Payload`. Other
fields are ignored.
"""

from __future__ import annotations

from contextlib import suppress

import msgspec

from shared.jobs import Job
from shared.queue.port import InboxDecoder

_NOTHING = msgspec.Raw(b"{}")
_NULL = b"null"


class _Message(msgspec.Struct, frozen=True, gc=False):
    type: str
    payload: msgspec.Raw = _NOTHING
    id: str | int | None = None


_exact = msgspec.json.Decoder(_Message)
_any_case = msgspec.json.Decoder(dict[str, msgspec.Raw])


def decode_message(raw: bytes) -> Job:
    """Read one message of the inbox. Raises ValueError when it cannot be read."""
    try:
        message = _decode(raw)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not message.type:
        raise msgspec.ValidationError("the job has no type")
    payload = bytes(message.payload)
    return Job(
        type=message.type,
        payload=b"{}" if payload == _NULL else payload,
        id="" if message.id is None else str(message.id),
    )


def forgiving(decoder: InboxDecoder) -> InboxDecoder:
    """Return a decoder that raises nothing but ValueError, so that a message which a program's own
    decoder stumbles over is a dead letter and not the end of a worker."""
    if decoder is decode_message:
        return decoder

    def decode(raw: bytes) -> Job:
        try:
            return decoder(raw)
        except ValueError:
            raise
        except Exception as error:
            raise ValueError(f"{type(error).__name__}: {error}") from error

    return decode


def _decode(raw: bytes) -> _Message:
    with suppress(msgspec.ValidationError):  # names in another case look like missing fields
        message = _exact.decode(raw)
        if message.id is not None and message.payload is not _NOTHING:
            return message
    lowered = {name.lower(): value for name, value in _any_case.decode(raw).items()}
    return _exact.decode(msgspec.json.encode(lowered))
