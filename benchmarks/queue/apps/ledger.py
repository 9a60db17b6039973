"""What the benchmark's Python programs share: their task, and the ledger they mark.

Runs in the environments of the peers, so it needs the standard library only. Of 2 x count slots
of 64 bits, slot n holds the reading of CLOCK_MONOTONIC, in nanoseconds, at which job n was started
last; slot count + n, when it ended, if it is a job that sleeps. A mark outlives a kill.
"""

from __future__ import annotations

import asyncio
import mmap
import os
import time
from collections.abc import Iterator
from typing import Any

URL = os.environ["BENCH_URL"]
QUEUE = os.environ["BENCH_QUEUE"]
SLOTS = int(os.environ["BENCH_SLOTS"])
COUNT = int(os.environ["BENCH_COUNT"])
FIRST = int(os.environ.get("BENCH_FIRST", "0"))
SLEEP_MS = int(os.environ["BENCH_SLEEP_MS"])
EVERY_MS = int(os.environ["BENCH_EVERY_MS"])
NOTE = "x" * max(0, int(os.environ["BENCH_BYTES"]) - 86)


def payload(n: int) -> dict[str, Any]:
    """Return what job n carries."""
    return {
        "n": n,
        "sleep_ms": SLEEP_MS,
        "document_id": "doc-0000000001",
        "source": "documents",
        "note": NOTE,
    }


class Ledger:
    """The file that BENCH_LEDGER names, in memory."""

    def __init__(self) -> None:
        with open(os.environ["BENCH_LEDGER"], "r+b") as file:  # noqa: PTH123 - no import for one line
            self._slots = memoryview(mmap.mmap(file.fileno(), 0)).cast("Q")
        self._count = len(self._slots) // 2

    def start(self, n: int) -> None:
        """Mark the start of job n."""
        self._slots[n] = time.monotonic_ns()

    def end(self, n: int) -> None:
        """Mark the end of job n."""
        self._slots[self._count + n] = time.monotonic_ns()

    async def run(self, n: int, sleep_ms: int) -> None:
        """Do job n."""
        self.start(n)
        if sleep_ms:
            await asyncio.sleep(sleep_ms / 1000)
            self.end(n)

    def run_in_thread(self, n: int, sleep_ms: int) -> None:
        """Do job n where a sleep blocks."""
        self.start(n)
        if sleep_ms:
            time.sleep(sleep_ms / 1000)
            self.end(n)


def to_publish(batch: int) -> Iterator[list[int]]:
    """Yield the numbers of the jobs to publish next.

    With BENCH_EVERY_MS one at a time after that pause, marked in the ledger as sent.
    """
    if not EVERY_MS:
        for start in range(FIRST, FIRST + COUNT, batch):
            yield list(range(start, min(start + batch, FIRST + COUNT)))
        return
    sent = Ledger()
    for n in range(COUNT):
        time.sleep(EVERY_MS / 1000)
        sent.start(n)
        yield [n]
