"""What a queue must be, in a few lines of plain Python: the oracle of the model test."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from shared.jobs import Job
from shared.verdicts import DeadLetter, Discard, Done, HandBack, Retry, Snooze, Verdict

SUSPECT = 2


@dataclass
class Known:
    """A job that is neither finished nor forgotten."""

    job: Job
    place: str = "ready"
    """ready, delayed, leased or dead."""
    token: str = ""
    holder: int = -1
    attempt: int = 1
    crashes: int = 0


@dataclass
class Model:
    """Knows which jobs must be where; their order is left to the contract suite."""

    max_crashes: int
    caps: Mapping[str, int]
    """How many jobs of a lane may run at once."""
    jobs: dict[str, Known] = field(default_factory=dict)
    covered: dict[str, str] = field(default_factory=dict)
    """Deduplication key to the key of the job that waits under it."""
    tokens: set[str] = field(default_factory=set)
    suspect_of: dict[int, str] = field(default_factory=dict)
    inbox: int = 0
    """Messages nobody has seen the key of; some may be put aside, if their type was paused."""
    queue_paused: bool = False
    paused_types: set[str] = field(default_factory=set)

    def publish(self, job: Job) -> bool:
        if job.key in self.jobs or not self._twin_gives_way(job):
            return False
        self.jobs[job.key] = Known(job, place="delayed" if job.delay_seconds else "ready")
        if job.dedup_key:
            self.covered[job.dedup_key] = job.key
        return True

    def _twin_gives_way(self, job: Job) -> bool:
        twin = self.jobs.get(self.covered.get(job.dedup_key, ""))
        if twin is None:
            return True
        later = twin.place == "delayed" and not job.delay_seconds  # all delays are equally long
        if not later and not job.replace:
            return False
        if not twin.crashes:
            del self.jobs[twin.job.key]
        return True

    def at(self, *places: str) -> list[Known]:
        return [each for each in self.jobs.values() if each.place in places]

    def held(self, token: str) -> Known | None:
        return next((each for each in self.at("leased") if each.token == token), None)

    def settle(self, token: str, verdict: Verdict) -> bool:
        known = self.held(token)
        if known is None:
            return False
        match verdict:
            case Done() | Discard():
                del self.jobs[known.job.key]
            case DeadLetter():
                known.place = "dead"
                known.attempt += 1
            case HandBack() if (
                known.job.type == "inbox" and known.attempt == 1 and not known.crashes
            ):
                del self.jobs[known.job.key]
                self.inbox += 1
            case Retry() | Snooze() | HandBack():
                self._wait(known, "ready" if isinstance(verdict, HandBack) else "delayed")
                known.attempt += isinstance(verdict, Retry)
        return True

    def _wait(self, known: Known, place: str) -> None:
        known.place = place
        dedup = known.job.dedup_key
        if dedup and dedup in self.covered and not known.crashes:
            del self.jobs[known.job.key]
        elif dedup:
            self.covered.setdefault(dedup, known.job.key)

    def expire(self, renewed: Collection[str]) -> None:
        """Every lease has run out but those of these tokens."""
        for known in self.at("leased"):
            if known.token in renewed:
                continue
            known.crashes += 1
            known.place = "dead" if known.crashes >= self.max_crashes else "ready"
            if known.place == "ready" and known.job.dedup_key:
                self.covered.setdefault(known.job.dedup_key, known.job.key)

    def twins_are_held(self) -> bool:
        """Whether two held jobs share a deduplication key: a crash may then cover either."""
        held = [each.job.dedup_key for each in self.at("leased") if each.job.dedup_key]
        return len(held) != len(set(held))

    def ripen(self) -> None:
        for known in self.at("delayed"):
            known.place = "ready"

    def running(self) -> Counter[str]:
        """How many jobs of each lane run."""
        return Counter(each.job.lane for each in self.at("leased") if each.job.lane)

    def claimable(self, consumer: int) -> tuple[int, int]:
        """How many jobs this consumer may have now, at least and at most.

        The two differ when a suspect waits in a lane: it may stand in the way of the others there.
        """
        if self.queue_paused:
            return 0, 0
        ready = [each for each in self.at("ready") if each.job.type not in self.paused_types]
        suspects = Counter(each.job.lane for each in ready if each.crashes >= SUSPECT)
        innocent = Counter(each.job.lane for each in ready if each.crashes < SUSPECT)
        may = self.held(self.suspect_of.get(consumer, "")) is None
        free = innocent[""] + (1 if suspects[""] and may else 0)
        free += 0 if "inbox" in self.paused_types else self.inbox
        least = most = free
        running = self.running()
        for lane, cap in self.caps.items():
            room = cap - running[lane]
            least += 0 if suspects[lane] else min(room, innocent[lane])
            more = 1 if suspects[lane] and may and not suspects[""] else 0
            most += min(room, innocent[lane] + more)
        return least, most

    def claimed(self, consumer: int, job: Job, token: str) -> Known:
        key = job.key
        if job.type == "inbox" and key not in self.jobs:
            self.inbox -= 1
            self.publish(job)
        known = self.jobs[key]
        assert known.place == "ready", f"{key} was handed out while {known.place}"
        assert token not in self.tokens, f"token {token} was handed out twice"
        self.tokens.add(token)
        known.place, known.token, known.holder = "leased", token, consumer
        if self.covered.get(known.job.dedup_key) == key:
            del self.covered[known.job.dedup_key]
        if known.crashes >= SUSPECT:
            assert self.held(self.suspect_of.get(consumer, "")) is None, "two suspects at once"
            self.suspect_of[consumer] = token
        lane = known.job.lane
        assert not lane or self.running()[lane] <= self.caps[lane], f"lane {lane} is over its cap"
        return known

    def replay(self, keys: Collection[str]) -> None:
        for known in map(self.jobs.__getitem__, keys):
            known.place, known.attempt, known.crashes = "ready", 1, 0
            if known.job.dedup_key:
                self.covered.setdefault(known.job.dedup_key, known.job.key)

    def cancel(self, keys: Collection[str]) -> None:
        for key in keys:
            dedup = self.jobs.pop(key).job.dedup_key
            if self.covered.get(dedup) == key:
                del self.covered[dedup]

    def purge(self, keys: Collection[str]) -> None:
        for key in keys:
            del self.jobs[key]

    def paused(self) -> list[str | None]:
        """Return what is paused; None stands for the queue."""
        return [*([None] if self.queue_paused else []), *sorted(self.paused_types)]

    def pause(self, job_type: str | None, *, on: bool) -> None:
        if job_type is None:
            self.queue_paused = on
        elif on:
            self.paused_types.add(job_type)
        else:
            self.paused_types.discard(job_type)
