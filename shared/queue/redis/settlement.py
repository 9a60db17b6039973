"""Turns settlements into the arguments of the exchange script."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from shared.queue.outcome import encode_result
from shared.redis.script import Argument
from shared.verdicts import DeadLetter, Discard, Done, HandBack, Retry, Settlement, Snooze, Verdict

_encoder = msgspec.msgpack.Encoder()

LONGEST_REASON = 2000
"""Characters of a dead letter's reason that are kept."""


def arguments_of(settled: Sequence[Settlement]) -> list[Argument]:
    """Return the finished tokens as one argument, then verdict, token and value of the others.

    Finished jobs whose result is kept are among the others.

    Hand-backs go in reverse: each is put before the one before it, so their order is kept.
    """
    finished: list[str] = []
    others: list[Settlement] = []
    for each in settled:
        verdict = type(each.verdict)
        plain = each.delivery.job.keep_result_seconds == 0.0
        if plain and (verdict is Done or verdict is Discard):
            finished.append(each.delivery.token)
        else:
            others.append(each)
    arguments: list[Argument] = [_encoder.encode(finished)]
    for each in reversed(others):
        name, value = _encode(each.verdict)
        arguments += (name, each.delivery.token, value)
    return arguments


def _encode(verdict: Verdict) -> tuple[str, Argument]:
    match verdict:
        case Done(result=result):
            field, content = encode_result(result)
            return "done" if field == "result" else "unkept", content
        case Discard(reason=reason):
            return "discard", reason[:LONGEST_REASON].encode(errors="replace")
        case Retry(after=after):
            return "retry", _milliseconds(after or 0.0)
        case Snooze(after=after):
            return "snooze", _milliseconds(after)
        case HandBack():
            return "back", 0
        case DeadLetter(reason=reason):
            return "dead", reason[:LONGEST_REASON].encode(errors="replace")
    raise TypeError(f"not a verdict of a queue: {verdict!r}")


def _milliseconds(seconds: float) -> int:
    return max(0, round(seconds * 1000))
