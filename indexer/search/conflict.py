"""What it means that the index already holds another stamp of a document."""

from __future__ import annotations

from indexer.search.port import Outcome, WriteOutcome

_ERA_SHIFT = 48
"""A stamp is the era, shifted so far, and a sequence number."""
_SUPERSEDED = WriteOutcome(Outcome.SUPERSEDED)


def conflict(held: int, stamp: int) -> WriteOutcome:
    """Return the outcome of a write under `stamp` where the index holds `held`, not lower.

    A newer state is as good as ours. But a stamp of a later era means that we read a database
    whose history has been left (an old primary, a restored copy): reading again may mend it, and
    if not, the job must not pass for done.
    """
    eras = held >> _ERA_SHIFT, stamp >> _ERA_SHIFT
    if eras[0] > eras[1]:
        reason = (
            f"the index holds this document from era {eras[0]}, but Postgres is in era {eras[1]}:"
            " is DATABASE_URL an old primary or a restored copy?"
        )
        return WriteOutcome(Outcome.TRY_AGAIN, reason)
    return _SUPERSEDED
