"""What the server's answer to a bulk means for each document. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from indexer.search.conflict import conflict
from indexer.search.port import Outcome, WriteOutcome

_WRITTEN = WriteOutcome(Outcome.WRITTEN)
_VERSIONS = re.compile(r"current version \[(\d+)\].*provided \[(\d+)\]")
_UNDECIDED = (Outcome.STALE, Outcome.TRY_AGAIN)

TOO_MANY = 429
FORBIDDEN = 403
"""A block on the index (read-only, flood stage): it is lifted by people, not by this document."""


def overloaded(items: Iterable[Mapping[str, Mapping[str, Any]]]) -> bool:
    """Whether the server had no room for some line of a bulk."""
    return any(answer["status"] == TOO_MANY for item in items for answer in item.values())


def item_outcome(item: Mapping[str, Mapping[str, Any]]) -> WriteOutcome:
    """Return what one line of the answer means."""
    (answer,) = item.values()
    status = answer["status"]
    if status < 300:
        return _WRITTEN
    error = answer.get("error") or {}
    if status == 409:
        return _conflict(error.get("reason", ""))
    if status == 404 and error.get("type") == "index_not_found_exception":
        return WriteOutcome(Outcome.STALE, error.get("reason", ""))
    again = status in (TOO_MANY, FORBIDDEN) or status >= 500
    return WriteOutcome(Outcome.TRY_AGAIN if again else Outcome.REFUSED, words_of(error, status))


def _conflict(reason: str) -> WriteOutcome:
    versions = _VERSIONS.search(reason)
    if versions is None:
        return WriteOutcome(Outcome.TRY_AGAIN, f"unexpected conflict: {reason}")
    return conflict(int(versions[1]), int(versions[2]))


def document_outcome(items: Sequence[WriteOutcome]) -> WriteOutcome:
    """Fold the outcomes of one document in all generations; the live one's comes first.

    All must be decided, then the live generation's word counts.
    """
    for undecided in _UNDECIDED:
        for item in items:
            if item.outcome is undecided:
                return item
    return items[0]


def words_of(error: Any, status: int) -> str:
    """Return the server's own reason, down to its last cause."""
    if not isinstance(error, Mapping):
        return f"HTTP {status}: {error}" if error else f"HTTP {status}"
    reasons = []
    cause: Any = error
    while isinstance(cause, Mapping):
        if (said := cause.get("reason")) and said not in reasons:
            reasons.append(str(said))
        cause = cause.get("caused_by")
    return f"{error.get('type', status)}: {': '.join(reasons)}"[:2000]
