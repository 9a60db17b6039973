"""A pool's side of the talk with its work source: calls that are repeated, and waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

from shared.clock import Clock
from shared.errors import ConnectionLostError
from shared.pool.repeat import repeat_until_heard
from shared.verdicts import Settlement
from shared.work_source import Exchange, WorkSource

SHORTEST_WAIT_SECONDS = 0.002
"""A source may say that work is due now and yet have none for us, such as a second suspect."""
RECONNECT_SECONDS = 1.0


class Conversation:
    """One exchange at a time; between them it sleeps until `wake` is set."""

    def __init__(
        self, source: WorkSource, wake: asyncio.Event, idle_seconds: float, clock: Clock
    ) -> None:
        self._source = source
        self._wake = wake
        self._idle_seconds = idle_seconds
        self._clock = clock
        self._waiter: asyncio.Task[None] | None = None
        self._give_up_at = float("inf")

    async def exchange(self, settled: Sequence[Settlement], want: int) -> Exchange:
        """Exchange; the same call is repeated while the connection is lost.

        Raises ConnectionLostError when the source is still away at the time to give up.
        """
        try:
            return await self._source.exchange(settled, want)
        except ConnectionLostError:
            again = partial(self._source.exchange, settled, want)
            return await repeat_until_heard(again, self._out_of_time)

    def give_up_in(self, seconds: float) -> None:
        """Repeat lost calls for so long and no longer."""
        self._give_up_at = self._clock.monotonic() + seconds

    async def pause(self, seconds: float) -> None:
        """Sleep until woken, at most so long."""
        alarm = asyncio.get_running_loop().call_later(seconds, self._wake.set)
        await self._wake.wait()
        alarm.cancel()

    async def wait_for_work(self, due_seconds: float | None) -> None:
        """Sleep until woken, or until the source may have work."""
        seconds = self._idle_seconds
        if due_seconds is not None:
            seconds = min(max(due_seconds, SHORTEST_WAIT_SECONDS), seconds)
        if self._waiter is not None and self._waiter.done():
            self._waiter.result()
            self._waiter = None
        if self._waiter is None:
            # One that is still waiting is kept: cancelling would cost it its connection.
            self._waiter = asyncio.create_task(self._watch(seconds))
            self._waiter.add_done_callback(lambda _: self._wake.set())
        await self.pause(seconds)

    async def close(self) -> None:
        """Stop waiting for work."""
        if self._waiter is not None:
            self._waiter.cancel()
            await asyncio.gather(self._waiter, return_exceptions=True)

    async def _watch(self, seconds: float) -> None:
        try:
            await self._source.wait(seconds)
        except ConnectionLostError:
            await asyncio.sleep(min(seconds, RECONNECT_SECONDS))  # the next exchange backs off

    def _out_of_time(self) -> bool:
        return self._clock.monotonic() >= self._give_up_at
