"""Where a job goes that is not done: to a retry topic, or to the dead letters. Pure."""

from __future__ import annotations

from msgspec.structs import replace

from shared.queue.kafka.record import Outgoing, Record, Stored
from shared.queue.kafka.shelf import Waiting
from shared.queue.kafka.topics import Topics
from shared.verdicts import DeadLetter, Retry, Snooze, Verdict

LONGEST_REASON = 2000
"""Characters of a dead letter's reason that are kept."""


def left_behind(verdict: Verdict, waiting: Waiting, topics: Topics, now: float) -> Outgoing | None:
    """Return the record that a verdict leaves behind, if any."""
    stored = waiting.stored
    match verdict:
        case DeadLetter(reason=reason):
            return dead_letter(waiting, topics, reason, now, attempts=stored.attempts + 1)
        case Retry(after=after):
            spent = replace(stored, attempts=stored.attempts + 1, due=now + (after or 0.0))
            return put_off(waiting.record, spent, topics, now)
        case Snooze(after=after):
            return put_off(waiting.record, replace(stored, due=now + after), topics, now)
        case _:
            return None


def put_off(record: Record, stored: Stored, topics: Topics, now: float) -> Outgoing:
    """Return the record of a job that waits until it is due."""
    return Outgoing(
        topics.bucket(stored.due - now), None, stored.key.encode(), record.value or b"", stored
    )


def dead_letter(
    waiting: Waiting, topics: Topics, reason: str, now: float, *, attempts: int
) -> Outgoing:
    """Return the record of a dead letter."""
    stored = replace(
        waiting.stored, reason=reason[:LONGEST_REASON], died_at=now, attempts=attempts, due=0.0
    )
    return Outgoing(topics.dead, 0, stored.key.encode(), waiting.record.value or b"", stored)


def replayed(record: Record, stored: Stored, topics: Topics, now: float) -> Outgoing:
    """Return the record of a dead letter that is tried again, with fresh counts."""
    fresh = Stored(stored.key, stored.type, stored.id, stored.headers, first_seen=now)
    return Outgoing(topics.jobs, None, stored.key.encode(), record.value or b"", fresh)


def buried(key: str, topics: Topics) -> Outgoing:
    """Return the record that deletes a dead letter."""
    return Outgoing(topics.dead, 0, key.encode(), None, None)
