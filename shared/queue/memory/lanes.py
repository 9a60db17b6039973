"""Lanes of the queue in memory: jobs that share limits, by the same rules as lanes.lua."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from itertools import count

from shared.queue.memory.entry import Entry
from shared.queue.port import LaneLimits

_NONE = LaneLimits()


class Lane:
    """One lane: what waits in it, and what runs."""

    def __init__(self) -> None:
        self.line: deque[Entry] = deque()
        """Next on the right."""
        self.running = 0
        self.turn = 0
        """Number of its last turn; the lane whose turn was longest ago is first."""
        self.spaced = 0.0
        """When its next start would be without burst."""


class MemoryLanes:
    """All lanes of a queue. The caller holds the broker's lock."""

    def __init__(self) -> None:
        self.limits: Mapping[str, LaneLimits] = {}
        """As the worker that called last has them."""
        self.lanes: dict[str, Lane] = {}
        self._held: dict[str, Lane] = {}
        """Token -> the lane that its job runs in."""
        self._turns = count(1)
        self._kept = 1000

    def limited(self, entry: Entry) -> str:
        """Name the lane that an entry waits in; empty without one, or when it has no limits."""
        lane = entry.job.lane if entry.job else ""
        limits = self._limits_of(lane)
        return lane if lane and (limits.max_running or limits.per_second) else ""

    def enter(self, lane: str, entry: Entry, *, in_front: bool) -> None:
        """Let an entry wait in its lane."""
        line = self.lanes.setdefault(lane, Lane()).line
        if in_front:
            line.append(entry)
        else:
            line.appendleft(entry)

    def lines(self) -> list[deque[Entry]]:
        """Return what waits, a line for each lane that has jobs."""
        return [lane.line for _, lane in self._with_jobs()]

    def take(
        self, most: int, now: float, *, suspect_may_run: bool, aside: Callable[[Entry], bool]
    ) -> Iterable[Entry]:
        """Take what may start now, a job from each lane in turn; of suspects, one at most.

        `aside` says of a job that it was put elsewhere instead.
        """
        left, moved = most, True
        self._forget_rested(now)
        while left > 0 and moved:
            ready = [
                name
                for name in self._in_turn()
                if self._wait(name, now) == 0.0
                and (suspect_may_run or not self.lanes[name].line[-1].suspect)
            ]
            moved = False
            for name in ready[:left]:
                lane = self.lanes[name]
                if lane.line[-1].suspect and not suspect_may_run:
                    continue
                moved = True
                if aside(lane.line[-1]):
                    lane.line.pop()
                    continue
                suspect_may_run &= not lane.line[-1].suspect
                left -= 1
                yield self._start(name, lane, now)

    def hold(self, entry: Entry) -> None:
        """Note under its token that a job which was taken runs."""
        if entry.lane:
            self._held[entry.token] = self.lanes[entry.lane]

    def let_go(self, token: str) -> bool:
        """Note that a job runs no more; True when others of its lane wait."""
        lane = self._held.pop(token, None)
        if lane is None:
            return False
        lane.running -= 1
        return bool(lane.line)

    def heads(self, now: float) -> Iterable[Entry]:
        """Return the next job of each lane that may start now."""
        return [each.line[-1] for name, each in self._with_jobs() if self._wait(name, now) == 0.0]

    def next_due(self, now: float, *, suspect_may_run: bool) -> float | None:
        """Seconds until a lane may hand out; None when none has jobs, or all are at their cap."""
        waits = [
            self._wait(name, now)
            for name, lane in self._with_jobs()
            if (suspect_may_run or not lane.line[-1].suspect)
        ]
        return min((wait for wait in waits if wait is not None), default=None)

    def _limits_of(self, lane: str) -> LaneLimits:
        return self.limits.get(lane) or self.limits.get("*") or _NONE

    def _with_jobs(self) -> Iterable[tuple[str, Lane]]:
        return [(name, lane) for name, lane in self.lanes.items() if lane.line]

    def _in_turn(self) -> Iterable[str]:
        return [name for name, _ in sorted(self._with_jobs(), key=lambda each: each[1].turn)]

    def _forget_rested(self, now: float) -> None:
        if len(self.lanes) > 2 * self._kept:
            busy = [(n, e) for n, e in self.lanes.items() if e.line or e.running or e.spaced > now]
            self.lanes = dict(busy)
            self._kept = max(1000, len(busy))

    def _wait(self, name: str, now: float) -> float | None:
        """Seconds until the lane may start a job; None while it is at its cap."""
        limits, lane = self._limits_of(name), self.lanes[name]
        if limits.max_running and lane.running >= limits.max_running:
            return None
        if not limits.per_second:
            return 0.0
        return max(0.0, lane.spaced - (limits.burst - 1) / limits.per_second - now)

    def _start(self, name: str, lane: Lane, now: float) -> Entry:
        limits = self._limits_of(name)
        entry = lane.line.pop()
        entry.lane = name
        lane.running += 1
        lane.turn = next(self._turns)
        if limits.per_second:
            lane.spaced = max(lane.spaced, now) + 1 / limits.per_second
        return entry
