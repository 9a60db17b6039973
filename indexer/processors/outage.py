"""A server that is away: one batch at a time looks for it, the others wait in their slots.

So a worker neither runs through its whole queue while nothing can be done, nor is late when the
server is back.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

from shared.errors import WorkerSuiteError
from shared.observability.logs import get_logger

log = get_logger(__name__)

LOOK_SECONDS = 1.0
"""How often a batch tries whether the server is back."""
HOLD_SECONDS = 5.0
"""How long a batch waits for that; no longer, for a worker that stops waits for its slots."""
TELL_SECONDS = 60.0
"""How often an outage is worth a line."""


class Outage:
    """Open for all batches while the servers answer."""

    def __init__(self) -> None:
        self._over = asyncio.Event()
        self._over.set()
        self._began_at = 0.0
        self._next_look = 0.0
        self._next_tell = 0.0

    async def may_try(self) -> bool:
        """Return True at once, or when it is one's turn to look, or when the outage is over.

        False when neither came within HOLD_SECONDS.
        """
        deadline = time.monotonic() + HOLD_SECONDS
        while not self._over.is_set():
            now = time.monotonic()
            if now >= self._next_look:
                self._next_look = now + LOOK_SECONDS
                return True
            if now >= deadline:
                return False
            with suppress(TimeoutError):
                async with asyncio.timeout(min(self._next_look, deadline) - now):
                    await self._over.wait()
        return True

    def goes_on(self, error: WorkerSuiteError) -> None:
        """Note that a server did not answer."""
        now = time.monotonic()
        if self._over.is_set():
            self._over.clear()
            self._began_at = now
            self._next_look = now + LOOK_SECONDS
        if now >= self._next_tell:
            self._next_tell = now + TELL_SECONDS
            log.warning("dependency_unavailable", error=str(error))

    def is_over(self) -> None:
        """Note that all servers answered; lets every batch that waits go on."""
        if self._over.is_set():
            return
        self._over.set()
        seconds = time.monotonic() - self._began_at
        if seconds >= LOOK_SECONDS:
            log.info("dependency_available", after_seconds=round(seconds, 1))
