"""Queues and jobs, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from shared.jobs import Job
from shared.queue.administration import STATES, DeadLetterRecord, JobRecord, State
from shared.queue.port import QueueDepth
from shared.queue.schedules import ScheduleState

_BODY_SHOWN = 300


def as_job_record(dead: DeadLetterRecord) -> JobRecord:
    """Return a dead letter in the form of every other job."""
    return JobRecord(
        key=dead.key,
        state="dead",
        job=dead.job,
        raw=dead.raw,
        attempts=dead.attempts,
        crashes=dead.crashes,
        reason=dead.reason,
        died_at=dead.died_at,
    )


def plain(record: JobRecord) -> dict[str, object]:
    """As JSON can hold it: a payload and bytes that nobody could read are text here."""
    job = record.job
    return {
        "key": record.key,
        "state": record.state,
        "reason": record.reason,
        "died_at": record.died_at,
        "due_in_seconds": record.due_in_seconds,
        "attempts": record.attempts,
        "crashes": record.crashes,
        "id": job.id if job else "",
        "type": job.type if job else None,
        "priority": job.priority.name.lower() if job else None,
        "lane": job.lane if job else "",
        "dedup_key": job.dedup_key if job else "",
        "headers": dict(job.headers) if job else {},
        "body": _body(record),
    }


def depth_lines(depth: QueueDepth) -> Iterator[str]:
    """Lines for people: a count a state, and the age."""
    for state in STATES:
        yield f"{state:>8} {getattr(depth, state):>10,}"
    if depth.oldest_ready_age_seconds is not None:
        yield f"the oldest ready job is {depth.oldest_ready_age_seconds:.1f} s old"


def job_lines(records: Sequence[JobRecord], state: State) -> Iterator[str]:
    """Lines for people: what each job is, and why it is where it is."""
    if not records:
        yield "No dead letters." if state == "dead" else f"No {state} jobs."
    for record in records:
        counts = f"attempts {record.attempts}, crashes {record.crashes}"
        yield f"{record.key or '(no key yet)'}  {_when(record)}{counts}"
        if record.reason:
            yield f"  {record.reason}"
        kind = record.job.type if record.job else "message"
        yield f"  {kind}: {_body(record)[:_BODY_SHOWN]}"


def story(record: JobRecord) -> Iterator[str]:
    """Lines for people: everything about one job."""
    for name, value in plain(record).items():
        if value not in ("", None, {}) and name not in ("body", "died_at"):
            yield f"{name:>14}  {value}"
    if record.died_at:
        yield f"{'died':>14}  {_time(record.died_at)}"
    yield f"{'payload' if record.job else 'message':>14}  {_body(record)}"


def schedule_lines(schedules: Sequence[ScheduleState], now: datetime) -> Iterator[str]:
    """Lines for people: one a schedule."""
    if not schedules:
        yield "No schedules."
    for each in schedules:
        last = _time(each.last_due) if each.last_due is not None else "never"
        due = "unknown"
        if each.next_due is not None:
            late = " (late)" if each.next_due < now.timestamp() else ""
            due = _time(each.next_due) + late
        yield f"{each.name}  {each.description}  {each.job_type}  last {last}  next {due}"


def _when(record: JobRecord) -> str:
    if record.died_at:
        return f"{_time(record.died_at)}  "
    if record.due_in_seconds is not None:
        word = "lease ends" if record.state == "leased" else "due"
        return f"{word} in {record.due_in_seconds:.1f} s  "
    return ""


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(sep=" ", timespec="seconds")


def _body(record: JobRecord) -> str:
    job: Job | None = record.job
    return (job.payload if job else record.raw).decode(errors="replace")
