"""The file in which jobs mark their start and end, as the benchmark reads it."""

from __future__ import annotations

import mmap
import time
from array import array
from collections.abc import Callable
from pathlib import Path

POLL_SECONDS = 0.01
PATIENCE_SECONDS = 60.0
FIRST = 4096


class Ledger:
    """Of 2 x count slots, slot n holds when job n started last, slot count + n when it ended.

    Readings of CLOCK_MONOTONIC in nanoseconds; 0: not yet.
    """

    def __init__(self, path: Path, count: int) -> None:
        self.path = path
        self.count = count
        path.write_bytes(b"")
        with path.open("r+b") as file:
            file.truncate(16 * count)
            self._slots = memoryview(mmap.mmap(file.fileno(), 0)).cast("Q")
        self._cursor = 0

    def wait_for_first(self, alive: Callable[[], None]) -> None:
        """Return when one of the first jobs has started. Raises as `wait_for`."""
        first = self._slots[: min(self.count, FIRST)]
        self._wait(lambda: any(first), alive, f"none of {self.count:,} jobs was started")

    def wait_for(self, jobs: int, alive: Callable[[], None]) -> None:
        """Return when jobs 0 to `jobs` - 1 have started.

        Calls `alive` meanwhile, which raises when that cannot happen any more. Raises
        TimeoutError when none of them was started for PATIENCE_SECONDS.
        """

        def reached() -> bool:
            while self._cursor < jobs and self._slots[self._cursor]:
                self._cursor += 1
            return self._cursor == jobs

        self._wait(reached, alive, f"some of {jobs:,} jobs were not started")

    def wait_for_ends(self, give_up: Callable[[], bool], seconds: float) -> float:
        """Return after how many seconds every job had ended, or `give_up` said so, or it took
        `seconds`."""
        began = time.monotonic()
        while self.missing_ends() and not give_up() and time.monotonic() - began < seconds:
            time.sleep(0.1)
        return time.monotonic() - began

    def copy(self) -> array[int]:
        """Return when each job started, 0 for those that have not."""
        return array("Q", self._slots[: self.count].tobytes())

    def starts(self) -> array[int]:
        """Return when each job started that has."""
        return array("Q", filter(None, self.copy()))

    def start_of(self, n: int) -> int:
        """Return when job n started."""
        return self._slots[n]

    def ended(self, n: int) -> bool:
        """Whether job n has ended."""
        return self._slots[self.count + n] > 0

    def missing_ends(self) -> int:
        """Return how many jobs have not ended."""
        return self._slots[self.count :].tolist().count(0)

    def _wait(self, done: Callable[[], bool], alive: Callable[[], None], what: str) -> None:
        before, deadline = -1, 0.0
        while not done():
            alive()
            if self._cursor != before:
                before, deadline = self._cursor, time.monotonic() + PATIENCE_SECONDS
            if time.monotonic() > deadline:
                raise TimeoutError(what)
            time.sleep(POLL_SECONDS)
