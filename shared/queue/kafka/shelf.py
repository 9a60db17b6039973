"""What a member has read and not handed out yet, in the order in which it is to be."""

from __future__ import annotations

import heapq
from collections import deque
from itertools import count

import msgspec

from shared.jobs import Job
from shared.queue.kafka.record import Record, Stored
from shared.queue.kafka.topics import LONGEST_DELAY_SECONDS
from shared.queue.kafka.window import Window

SUSPECT_CRASHES = 2
"""A job that crashed so often runs alone among its like in a process."""


class Waiting(msgspec.Struct, eq=False, gc=False):
    """A record and its place in the queue."""

    window: Window
    record: Record
    stored: Stored
    """Its crashes are those of earlier records and of this one."""
    job: Job | None = None
    """Once it was read to be handed out."""

    @property
    def until(self) -> float:
        """Seconds since the epoch until which it waits here; a long delay is cut in pieces."""
        return min(self.stored.due, self.record.timestamp / 1000.0 + LONGEST_DELAY_SECONDS)


class Shelf:
    """Handed-back work first, then what is due, then new jobs and the inbox in turns."""

    def __init__(self, inbox: str) -> None:
        self._inbox_topic = inbox
        self._suspects: deque[Waiting] = deque()
        self._front: deque[Waiting] = deque()
        self._jobs: deque[Waiting] = deque()
        self._inbox: deque[Waiting] = deque()
        self._delayed: list[tuple[float, int, Waiting]] = []
        self._serial = count()
        self._turn = 0

    def put(self, waiting: Waiting) -> None:
        """Take in a record that was just read."""
        if waiting.stored.due:
            heapq.heappush(self._delayed, (waiting.until, next(self._serial), waiting))
        else:
            self._line(waiting).append(waiting)

    def put_back(self, waiting: Waiting) -> None:
        """Take in work that was handed back, or could not be handed out; the last comes first.

        What is due later, and could not be put off again, goes on waiting for its time.
        """
        if waiting.stored.due:
            self.put(waiting)
            return
        suspect = waiting.stored.crashes >= SUSPECT_CRASHES
        (self._suspects if suspect else self._front).appendleft(waiting)

    def ripen(self, now: float) -> list[Waiting]:
        """Take out what was delayed until now."""
        ripe = []
        while self._delayed and self._delayed[0][0] <= now:
            waiting = heapq.heappop(self._delayed)[2]
            if not waiting.window.lost:
                ripe.append(waiting)
        return ripe

    def take(self, most: int, *, suspect: bool) -> list[Waiting]:
        """Take out what is to be handed out next, and at most one suspect, if that may be."""
        taken: list[Waiting] = []
        if suspect:
            self._move(self._suspects, taken, min(1, most))
        self._move(self._front, taken, most)
        first, second = (self._inbox, self._jobs) if self._turn else (self._jobs, self._inbox)
        self._turn ^= 1
        half = len(taken) + (most - len(taken) + 1) // 2
        self._move(first, taken, half)
        self._move(second, taken, most)
        self._move(first, taken, most)
        return taken

    def short_of(self, most: int) -> tuple[int, int]:
        """Return how many jobs and messages of the inbox to read before so many are taken."""
        return max(0, most - len(self._jobs)), max(0, most - len(self._inbox))

    def next_due(self, now: float, *, suspect: bool) -> float | None:
        """Seconds until something can be taken; None when nothing is here."""
        if self._front or self._jobs or self._inbox or (suspect and self._suspects):
            return 0.0
        return max(0.0, self._delayed[0][0] - now) if self._delayed else None

    def clear_lost(self) -> None:
        """Forget what belongs to partitions that went away."""
        for line in (self._suspects, self._front, self._jobs, self._inbox):
            kept = [each for each in line if not each.window.lost]
            line.clear()
            line.extend(kept)
        self._delayed = [each for each in self._delayed if not each[2].window.lost]
        heapq.heapify(self._delayed)

    def _line(self, waiting: Waiting) -> deque[Waiting]:
        if waiting.stored.crashes >= SUSPECT_CRASHES:
            return self._suspects
        return self._inbox if waiting.record.topic == self._inbox_topic else self._jobs

    def _move(self, line: deque[Waiting], taken: list[Waiting], until: int) -> None:
        while line and len(taken) < until:
            waiting = line.popleft()
            if not waiting.window.lost:
                taken.append(waiting)
