"""Jobs from flags or from a file of lines."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import uuid4

import click
import msgspec

from shared.jobs import Job, Priority
from shared.queue.message import decode_message


def jobs_from(
    job_type: str | None,
    payload: str,
    lines: Iterable[bytes] | None,
    job_id: str,
    delay: float,
    priority: str,
    dedup_key: str,
    lane: str,
) -> list[Job]:
    """Make the jobs that were asked for, each with a key of its own.

    Raises click.UsageError for what cannot be published, with the line it stands in; nothing is
    published then.
    """
    if (job_type is None) is (lines is None):
        raise click.UsageError("give --type (with --payload), or --file")
    if lines is not None:
        jobs = [_from_line(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    else:
        jobs = [Job(type=job_type or "", payload=_checked(payload), id=job_id)]
    return [
        msgspec.structs.replace(
            job,
            key=uuid4().hex,
            delay_seconds=delay,
            priority=Priority[priority.upper()],
            dedup_key=dedup_key,
            lane=lane,
        )
        for job in jobs
    ]


def _from_line(number: int, line: bytes) -> Job:
    try:
        return decode_message(line)
    except ValueError as error:
        raise click.UsageError(f"line {number}: {error}") from None


def _checked(payload: str) -> bytes:
    try:
        msgspec.json.decode(payload)
    except ValueError as error:
        raise click.UsageError(f"--payload is not JSON: {error}") from None
    return payload.encode()
