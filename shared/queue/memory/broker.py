"""The state of a queue in this process's memory. Many queues of one process may share it."""

from __future__ import annotations

import heapq
import threading
from collections import deque
from collections.abc import Callable, Iterable
from itertools import count
from uuid import uuid4

from shared.jobs import Job, Priority
from shared.queue.memory.entry import Entry
from shared.queue.memory.lanes import MemoryLanes
from shared.queue.memory.results import KeptOutcomes
from shared.queue.port import QueueDepth
from shared.queue.schedules import ScheduleState


class MemoryBroker:
    """Lists, leases and dead letters, by the same rules as the scripts of the Redis adapter.

    Every method expects the caller to hold `lock`. Times are wall-clock seconds.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.incarnation = uuid4().hex
        self.inbox: deque[bytes] = deque()
        """Oldest on the right, as in Redis."""
        self.listeners: set[Callable[[], None]] = set()
        """Called whenever work may have become ready."""
        self.live: dict[str, Entry] = {}
        self.leased: dict[str, Entry] = {}
        self.ready: dict[Priority, deque[Entry]] = {each: deque() for each in Priority}
        self.suspects: deque[Entry] = deque()
        self.dead: dict[str, Entry] = {}
        self.dedup: dict[str, str] = {}
        self.windows: dict[str, float] = {}
        """Deduplication key -> until when its window drops what is published."""
        self._windows_kept = 1000
        self.lanes = MemoryLanes()
        self.outcomes = KeptOutcomes()
        self.schedules: dict[str, tuple[ScheduleState, float]] = {}
        """Name -> what was announced, and since when it is defined so."""
        self.fired: dict[str, float] = {}
        """Schedule -> due time of its last firing."""
        self.kinds: dict[str, tuple[str, float]] = {}
        """Consumer -> its worker kind, and until when it counts as alive."""
        self.delayed: list[tuple[float, int, Entry]] = []
        """Heap by due time."""
        self.queue_paused = False
        self.parked: dict[str, deque[Entry]] = {}
        """Paused job type -> its entries that a claim has met."""
        self._serial = count(1)

    def publish(self, job: Job, now: float) -> bool:
        """Store a job; False when its key, or a twin that would wait no longer, is there."""
        key = job.key or f"{self.incarnation}-{next(self._serial)}"
        ready_at = now + job.delay_seconds
        if key in self.live or not self._twin_gives_way(job, ready_at, now):
            return False
        entry = Entry(key=key, job=job, raw=b"", first_seen=now, ready_at=ready_at)
        self.live[key] = entry
        self.outcomes.forget(key)
        if job.dedup_key:
            self.dedup[job.dedup_key] = key
            self._open_window(job, now)
        if ready_at > now:
            self.delay(entry, ready_at)
        else:
            self.put(entry, in_front=False)
        return True

    def push(self, raw: bytes) -> None:
        """Push a message to the inbox, as a program in another language would."""
        self.inbox.appendleft(raw)
        self.tell()

    def tell(self) -> None:
        """Wake those who wait."""
        for listener in tuple(self.listeners):
            listener()

    def delay(self, entry: Entry, until: float) -> None:
        """Let an entry wait for its time."""
        entry.ready_at = until
        heapq.heappush(self.delayed, (until, next(self._serial), entry))
        self.tell()

    def may_wait(self, entry: Entry, now: float) -> bool:
        """Take the dedup key again; False when the entry merged with a twin that waits."""
        if not entry.dedup_key or entry.dedup_key not in self.dedup:
            if entry.dedup_key:
                self.dedup[entry.dedup_key] = entry.key
            return True
        if entry.crashes:
            return True
        self.finish(entry, now, "discarded", error=b"merged with a twin that waits")
        return False

    def _twin_gives_way(self, job: Job, ready_at: float, now: float) -> bool:
        """Let go of a twin that would wait longer; False when it would not, or in its window."""
        twin = self.live.get(self.dedup.get(job.dedup_key, ""))
        if twin is None:
            return self.windows.get(job.dedup_key, now) <= now
        if twin.ready_at <= ready_at and not job.replace:
            return False
        if not twin.crashes:
            self.outcomes.keep(twin, now, "discarded", error=b"a twin replaced it")
            self._withdraw(twin)
            self.tell()
        return True

    def _open_window(self, job: Job, now: float) -> None:
        ends = now + job.dedup_window_seconds
        if ends > self.windows.get(job.dedup_key, now):
            self.windows[job.dedup_key] = ends
        if len(self.windows) > 2 * self._windows_kept:
            self.windows = {twin: end for twin, end in self.windows.items() if end > now}
            self._windows_kept = max(1000, len(self.windows))

    def _withdraw(self, entry: Entry) -> None:
        """Take a waiting entry off the queue."""
        self.delayed = [each for each in self.delayed if each[2] is not entry]
        heapq.heapify(self.delayed)
        for line in self.lines():
            if entry in line:
                line.remove(entry)
        del self.live[entry.key]

    def lines(self) -> list[deque[Entry]]:
        """All that is ready, next to be handed out first; each line from its right end."""
        high, normal, low = self.ready.values()
        return [*self.parked.values(), self.suspects, high, *self.lanes.lines(), normal, low]

    def cancel(self, key: str, now: float) -> bool:
        """Take a job off the queue, waiting or running; False when there is none."""
        entry = self.live.get(key)
        if entry is None:
            return False
        self.outcomes.keep(entry, now, "discarded", error=b"cancelled")
        self.tell()
        if self.release(entry.token):
            del self.live[key]
        else:
            self._withdraw(entry)
        if self.dedup.get(entry.dedup_key) == key:
            del self.dedup[entry.dedup_key]
        return True

    def park(self, entry: Entry, job_type: str) -> bool:
        """Put an entry aside if its type is paused; returns whether it is."""
        if job_type not in self.parked:
            return False
        self.parked[job_type].appendleft(entry)
        return True

    def pause(self, job_type: str | None) -> None:
        """Hand out nothing, or nothing of this type."""
        if job_type is None:
            self.queue_paused = True
        else:
            self.parked.setdefault(job_type, deque())

    def resume(self, job_type: str | None) -> None:
        """Undo a pause; what was parked goes to the front."""
        if job_type is None:
            self.queue_paused = False
        else:
            for entry in self.parked.pop(job_type, ()):
                self.put(entry, in_front=True)
        self.tell()

    def put(self, entry: Entry, *, in_front: bool) -> None:
        """Make an entry ready."""
        line = self.suspects if entry.suspect else self.ready[entry.priority]
        if lane := self.lanes.limited(entry):
            self.lanes.enter(lane, entry, in_front=in_front)
        elif in_front:
            line.append(entry)
        else:
            line.appendleft(entry)
        self.tell()

    def hand_back(self, entry: Entry) -> None:
        """Put an entry in front; a message that nobody worked on back into the inbox as it came."""
        if entry.job is None and not entry.attempts and not entry.crashes:
            del self.live[entry.key]
            self.inbox.append(entry.raw)
            self.tell()
        else:
            self.put(entry, in_front=True)

    def bury(self, entry: Entry, reason: str, now: float) -> None:
        """Make an entry a dead letter."""
        entry.reason, entry.died_at = reason, now
        self.dead[entry.key] = entry
        del self.live[entry.key]
        self.outcomes.keep(entry, now, "dead", error=reason.encode(errors="replace"))
        self.tell()

    def finish(self, entry: Entry, now: float, state: str, **fields: bytes) -> None:
        """Forget a finished job, but for what is kept of it."""
        del self.live[entry.key]
        self.outcomes.keep(entry, now, state, **fields)
        self.tell()

    def lease(self, entry: Entry, until: float) -> None:
        """Hand an entry out; its token is one that no other hand-out has."""
        entry.epoch = next(self._serial)  # of all jobs: a key that is published again has none
        entry.token = f"{entry.key}:{entry.epoch}:{entry.attempts}:{entry.crashes}"
        entry.lease_until = until
        self.leased[entry.token] = entry
        self.lanes.hold(entry)

    def replay(self, key: str, now: float) -> bool:
        """Make a dead letter ready with fresh counts; False when there is none."""
        entry = self.dead.pop(key, None)
        if entry is None:
            return False
        if key not in self.live:
            entry.attempts = entry.crashes = 0
            entry.first_seen = entry.ready_at = now
            self.live[key] = entry
            self.outcomes.forget(key)
            if entry.dedup_key:
                self.dedup.setdefault(entry.dedup_key, key)
            self.put(entry, in_front=False)
        return True

    def release(self, token: str) -> Entry | None:
        """End a lease; None when it was lost."""
        entry = self.leased.pop(token, None)
        if entry is not None:
            entry.token = entry.lane = ""
            if self.lanes.let_go(token):
                self.tell()
        return entry

    def bring_back(self, now: float, max_crashes: int) -> None:
        """Make ready what is due; count a crash for every lease that has expired."""
        for entry in [each for each in self.leased.values() if each.lease_until <= now][::-1]:
            self.release(entry.token)
            entry.crashes += 1
            if entry.crashes >= max_crashes:
                self.bury(entry, f"its lease expired {entry.crashes} times", now)
            else:
                self.may_wait(entry, now)
                self.put(entry, in_front=True)
        while self.delayed and self.delayed[0][0] <= now:
            entry = heapq.heappop(self.delayed)[2]
            entry.ready_at = now
            self.put(entry, in_front=False)

    def take(self, line: deque[Entry], most: int) -> Iterable[Entry]:
        """Take entries off a ready list; the paused, and those with a lane by now, go elsewhere."""
        while most > 0 and line:
            entry = line.pop()
            if self._is_parked(entry):
                continue
            if lane := self.lanes.limited(entry):
                self.lanes.enter(lane, entry, in_front=False)
                continue
            self._uncover(entry)
            most -= 1
            yield entry

    def take_lanes(self, most: int, now: float, *, suspect_may_run: bool) -> Iterable[Entry]:
        """Take what lanes may start."""
        taken = self.lanes.take(most, now, suspect_may_run=suspect_may_run, aside=self._is_parked)
        for entry in taken:
            self._uncover(entry)
            yield entry

    def _is_parked(self, entry: Entry) -> bool:
        return entry.job is not None and self.park(entry, entry.job.type)

    def _uncover(self, entry: Entry) -> None:
        if self.dedup.get(entry.dedup_key) == entry.key:
            del self.dedup[entry.dedup_key]

    def take_inbox(self, most: int, now: float) -> Iterable[Entry]:
        """Take messages off the inbox, oldest first, each under a key of its own."""
        for _ in range(min(most, len(self.inbox))):
            key = f"{self.incarnation}-{next(self._serial)}"
            raw = self.inbox.pop()
            self.live[key] = Entry(key=key, job=None, raw=raw, first_seen=now, ready_at=now)
            yield self.live[key]

    def depth(self, now: float) -> QueueDepth:
        """Count what waits where; what its lane holds back has no part in the age."""
        lines = [*self.parked.values(), self.suspects, *self.ready.values()]
        heads = [*(line[-1] for line in lines if line), *self.lanes.heads(now)]
        oldest = min((each.ready_at for each in heads), default=None)
        return QueueDepth(
            inbox=len(self.inbox),
            ready=sum(map(len, self.lines())),
            delayed=len(self.delayed),
            leased=len(self.leased),
            dead=len(self.dead),
            oldest_ready_age_seconds=None if oldest is None else now - oldest,
        )

    def next_due(self, now: float, *, suspect_may_run: bool = True) -> float | None:
        """Seconds until something becomes ready."""
        if not self.queue_paused and (self.inbox or any(self.ready.values())):
            return 0.0
        times = [each.lease_until - now for each in self.leased.values()]
        if self.delayed:
            times.append(self.delayed[0][0] - now)
        lanes = self.lanes.next_due(now, suspect_may_run=suspect_may_run)
        if lanes is not None and not self.queue_paused:
            times.append(lanes)
        return max(0.0, min(times)) if times else None
