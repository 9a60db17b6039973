"""The memory limit of a group: a process that has grown past it is changed for a fresh one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from shared.observability.logs import get_logger
from shared.supervisor.seat import STEADY_SECONDS, Seat, pause_before_restart

log = get_logger(__name__)

LOOK_SECONDS = 1.0
ADVICE = (
    "a fresh process soon needs more than this: raise MAX_MEMORY_MB above what a process needs at "
    "work, or find what its jobs leak; 0 sets no limit"
)


async def limit_memory(seats: Sequence[Seat], limit_mb: int) -> None:
    """Hold the processes to a limit until cancelled; no seat waits for another's drain."""
    async with asyncio.TaskGroup() as limits:
        for seat in seats:
            limits.create_task(_limit(seat, limit_mb))


async def _limit(seat: Seat, limit_mb: int) -> None:
    """Change a process that is over the limit, after pauses that grow while that does not help."""
    pause, fresh, since = 0.0, True, time.monotonic()
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        ran = time.monotonic() - since
        if ran < pause or (memory := _memory_bytes(seat)) <= limit_mb << 20:
            continue
        pause = pause_before_restart(pause, ran)
        if fresh and ran < STEADY_SECONDS:
            log.warning(
                "memory_limit_too_low",
                index=seat.index,
                memory_mb=memory >> 20,
                max_memory_mb=limit_mb,
                after_seconds=round(ran, 1),
                next_look_in=pause,
                advice=ADVICE,
            )
        fresh, since = await seat.change("memory"), time.monotonic()


def _memory_bytes(seat: Seat) -> int:
    return seat.occupant.memory_bytes() if seat.ready and seat.occupant else 0
