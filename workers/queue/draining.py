"""Pause, then wait until what runs has ended."""

from __future__ import annotations

import asyncio
import time

from shared.queue.administration import QueueAdmin

_LOOK_SECONDS = 0.1
_PAGE = 1_000


async def drained(admin: QueueAdmin, job_type: str | None, timeout: float) -> int:
    """Pause the queue or a job type; return how many of its jobs still run after `timeout` s."""
    await admin.pause(job_type)
    until = time.monotonic() + timeout
    while True:
        left = await _running(admin, job_type)
        if not left or time.monotonic() >= until:
            return left
        await asyncio.sleep(_LOOK_SECONDS)


async def _running(admin: QueueAdmin, job_type: str | None) -> int:
    if job_type is None:
        return (await admin.depth()).leased
    count = offset = 0
    while page := await admin.jobs("leased", limit=_PAGE, offset=offset):
        offset += len(page)
        count += sum(each.job is not None and each.job.type == job_type for each in page)
    return count
