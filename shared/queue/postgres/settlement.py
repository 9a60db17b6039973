"""Turns settlements into the arguments of the exchange."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from shared.jobs import Delivery
from shared.verdicts import DeadLetter, Discard, Done, HandBack, Retry, Settlement, Snooze, Verdict

LONGEST_REASON = 2000
"""Characters of a dead letter's reason that are kept."""


class Settled(msgspec.Struct):
    """What one call settles: columns for the statement, and the tokens in the order in which it
    counts their positions."""

    tokens: list[str] = []
    columns: tuple[list[Any], ...] = ()


def columns_of(settled: Sequence[Settlement], parked: Sequence[Delivery]) -> Settled:
    """Return finished jobs first, as keys and epochs; then the others with verdict, seconds, and
    the reason of a dead letter or the type of what is parked."""
    finished: list[str] = []
    others: list[tuple[str, str, float, bytes]] = []
    for each in settled:
        verdict = type(each.verdict)
        if verdict is Done or verdict is Discard:
            finished.append(each.delivery.token)
        else:
            others.append((each.delivery.token, *_encode(each.verdict)))
    others += [(each.token, "park", 0.0, each.job.type.encode()) for each in parked]
    tokens = [each[0] for each in others]
    return Settled(
        tokens=finished + tokens,
        columns=(
            *keys_and_epochs(finished),
            *keys_and_epochs(tokens),
            [each[1] for each in others],
            [each[2] for each in others],
            [each[3] for each in others],
        ),
    )


def keys_and_epochs(tokens: Sequence[str]) -> tuple[list[bytes], list[int]]:
    """Split tokens `key:epoch:attempts:crashes` into the columns that name a lease."""
    keys: list[bytes] = []
    epochs: list[int] = []
    for token in tokens:
        key, epoch, _attempts, _crashes = token.rsplit(":", 3)
        keys.append(key.encode())
        epochs.append(int(epoch))
    return keys, epochs


def _encode(verdict: Verdict) -> tuple[str, float, bytes]:
    match verdict:
        case Retry(after=after):
            return "retry", max(0.0, after or 0.0), b""
        case Snooze(after=after):
            return "snooze", max(0.0, after), b""
        case HandBack():
            return "back", 0.0, b""
        case DeadLetter(reason=reason):
            return "dead", 0.0, reason[:LONGEST_REASON].encode(errors="replace")
    raise TypeError(f"not a verdict of a queue: {verdict!r}")
