"""A job, and one handing-out of it."""

from __future__ import annotations

from enum import IntEnum
from typing import Any
from uuid import uuid4

import msgspec


class Priority(IntEnum):
    """Which ready list a job waits in; a lower number is claimed first."""

    HIGH = 0
    NORMAL = 1
    LOW = 2


class Job(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a producer publishes.

    A job is named by its `key`: publishing the same key twice is harmless. The producer's own
    `id` is only data: two jobs may carry the same one.
    """

    type: str
    payload: bytes = b"{}"
    """JSON text; decoded into the processor's payload type just before it runs."""
    id: str = ""
    key: str = ""
    """Unique to this publish. The queue makes one for jobs that come without."""
    priority: Priority = Priority.NORMAL
    delay_seconds: float = 0.0
    """How long the job waits after its publish; 0 once it has been handed out."""
    dedup_key: str = ""
    """While a job with this key waits, another publish of it is dropped, unless it is due earlier:
    then it takes the place of the one that waits. Empty turns this off."""
    dedup_window_seconds: float = 0.0
    """For so long after this publish, another of the same `dedup_key` is dropped even when this
    job has run already, and none waits. 0: only while it waits. Once it has been handed out, 0."""
    replace: bool = False
    """Take the place of the job that waits under the same `dedup_key`, whatever its due time. False
    once it has been handed out."""
    lane: str = ""
    """Jobs of one lane (a tenant, a host) share the limits that QueueSettings.lane_limits sets."""
    headers: tuple[tuple[str, str], ...] = ()
    """Names and values that travel with the job and that middleware understands, such as
    `traceparent` (W3C Trace Context)."""
    keep_result_seconds: float = 0.0
    """How long the result of `Done` is kept for whoever asks (see JobResults); 0 keeps none."""


def new_job(
    job_type: str,
    payload: Any,
    *,
    id: str = "",  # noqa: A002 - the wire format's own name
    priority: Priority = Priority.NORMAL,
    delay_seconds: float = 0.0,
    dedup_key: str = "",
    dedup_window_seconds: float = 0.0,
    replace: bool = False,
    lane: str = "",
    headers: tuple[tuple[str, str], ...] = (),
    keep_result_seconds: float = 0.0,
) -> Job:
    """Make a job with a fresh key from a payload that msgspec can encode as JSON."""
    return Job(
        type=job_type,
        payload=msgspec.json.encode(payload),
        id=id,
        key=uuid4().hex,
        priority=priority,
        delay_seconds=delay_seconds,
        dedup_key=dedup_key,
        dedup_window_seconds=dedup_window_seconds,
        replace=replace,
        lane=lane,
        headers=headers,
        keep_result_seconds=keep_result_seconds,
    )


class Delivery(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One handing-out of a job to one worker."""

    job: Job
    token: str
    """Names this handing-out and no other: it carries the fence, so a late answer is harmless."""
    attempt: int = 1
    """1 for the first run; rises on Retry and on a timeout, never on a snooze or a hand-back."""
    crashes: int = 0
    """How many leases of this job have expired."""
    lease_until: float = 0.0
    """Reading of the local monotonic clock until which the lease surely holds, if not renewed."""
    age_seconds: float = 0.0
    """Seconds between the queue's first sight of the job and this handing-out."""
