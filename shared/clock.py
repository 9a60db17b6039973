"""Time as a port, so that tests can freeze and advance it."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Two readings of time, both in seconds."""

    def monotonic(self) -> float:
        """Seconds on a clock that never goes back; for deadlines and durations."""
        ...

    def wall(self) -> float:
        """Seconds since the epoch; for what people read and what is stored."""
        ...


class SystemClock:
    """The machine's own clocks."""

    monotonic = staticmethod(time.monotonic)
    wall = staticmethod(time.time)


class FrozenClock:
    """A clock that moves only when told to; a real adapter, for tests."""

    def __init__(self, wall: float = 1_700_000_000.0) -> None:
        self._monotonic = 1_000.0
        self._wall = wall

    def monotonic(self) -> float:
        """Return the frozen monotonic reading."""
        return self._monotonic

    def wall(self) -> float:
        """Return the frozen time of day."""
        return self._wall

    def advance(self, seconds: float) -> None:
        """Move both clocks forward.

        Raises ValueError when asked to go back: a monotonic clock cannot.
        """
        if seconds < 0:
            raise ValueError(f"a clock cannot be advanced by {seconds} s")
        self._monotonic += seconds
        self._wall += seconds
