"""How what a processor returned or reported is written down, on every broker."""

from __future__ import annotations

from typing import Any

import msgspec

from shared.queue.port import JobOutcome

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder()


def encode_value(value: Any) -> bytes:
    """Return a result or progress as JSON. Raises TypeError or ValueError when that cannot be."""
    return _encoder.encode(value)


def encode_result(result: Any) -> tuple[str, bytes]:
    """Return a result as field and content: one that cannot be written must not undo the job."""
    try:
        return "result", encode_value(result)
    except (TypeError, ValueError, RecursionError) as error:
        return "error", f"the result cannot be written as JSON: {error}".encode()


def decode_outcome(fields: dict[str, bytes]) -> JobOutcome | None:
    """Read what was kept, by field; None when nothing was."""
    if "state" not in fields:
        return None
    return JobOutcome(
        state=fields["state"].decode(),
        progress=_decoder.decode(fields["progress"]) if "progress" in fields else None,
        result=_decoder.decode(fields["result"]) if "result" in fields else None,
        error=fields.get("error", b"").decode(errors="replace"),
    )
