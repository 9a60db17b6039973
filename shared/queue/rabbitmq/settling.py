"""What becomes of a message: where its job is stored anew, before the message is acknowledged."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from shared.queue.rabbitmq.stored_job import StoredJob
from shared.queue.rabbitmq.topology import LONGEST_DELAY_SECONDS, SUSPECT_CRASHES, Names
from shared.verdicts import DeadLetter, Discard, Done, HandBack, Retry, Snooze, Verdict


class Copy(msgspec.Struct, frozen=True):
    """A job to be published: at once to a queue, or after a delay."""

    to: str
    job: StoredJob
    delay_seconds: float = 0.0


def copy_for(verdict: Verdict, job: StoredJob, names: Names, now: float) -> Copy | None:
    """Return what is published for a verdict; None when the job is finished."""
    match verdict:
        case Done() | Discard():
            return None
        case DeadLetter(reason=reason):
            return buried(replace(job, attempts=job.attempts + 1), reason, names, now)
        case HandBack():
            return Copy(names.home(job.crashes), job)
        case Snooze(after=after):
            return _later(job, after, names)
        case Retry(after=after):
            return _later(replace(job, attempts=job.attempts + 1), after or 0.0, names)


def buried(job: StoredJob, reason: str, names: Names, now: float) -> Copy:
    """Return the dead letter of a job."""
    return Copy(names.dead, replace(job, reason=reason, died_at=now))


def after_crashes(job: StoredJob, returns: int, came_from: str, names: Names) -> int:
    """Count a job's crashes.

    `returns` are those the broker counted for this message. A lost connection returns also what
    was prefetched and never started, so in the work queue they make a suspect, and no more than
    that; suspects are sent one at a time, and every return of one counts.
    """
    if came_from == names.suspects:
        return job.crashes + returns
    return max(job.crashes, min(job.crashes + returns, SUSPECT_CRASHES))


def misplaced(
    job: StoredJob, came_from: str, max_crashes: int, names: Names, now: float
) -> Copy | None:
    """Return where a job must go instead of to a worker; None when it may run."""
    if job.crashes >= max_crashes:
        return buried(job, f"lease expired {job.crashes} times", names, now)
    if came_from != names.home(job.crashes):
        return Copy(names.home(job.crashes), job)
    return None


def _later(job: StoredJob, seconds: float, names: Names) -> Copy:
    return Copy(names.home(job.crashes), job, min(max(seconds, 0.0), LONGEST_DELAY_SECONDS))
