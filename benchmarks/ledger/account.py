"""What the books say: what was lost, and which faults the duplicates and dead letters come from."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from itertools import chain
from pathlib import Path

import msgspec

from benchmarks.ledger import books

CRASHED = "crashed"
ON_ITS_WAY = "crashed, once on its way to a worker"
REPUBLISHED = "republished"
UNEXPLAINED = "unexplained"


class Fault(msgspec.Struct, frozen=True):
    """Something that was done to some workers."""

    kind: str
    at_ns: int
    workers: Collection[str]
    """Those that may run a job again, or have it run by another, because of it."""


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """The books, summed up. All but `duplicates` count jobs, not executions."""

    published: int
    acknowledged: int
    executed: int
    dead_lettered: int
    dead_letters_by_cause: Mapping[str, int]
    lost: int
    """Acknowledged, and neither executed nor dead-lettered."""
    duplicates: int
    """Executions beyond the first of each job."""
    duplicates_by_cause: Mapping[str, int]
    stale_settlements_refused: int


def account(
    directory: Path,
    dead: Collection[int],
    faults: Sequence[Fault],
    in_flight: int,
    max_crashes: int,
) -> Account:
    """Compare the books; `in_flight` is the most that one worker can hold at once."""
    attempts = Counter(_numbers(directory, "published"))
    acknowledged = set(_numbers(directory, "acknowledged"))
    runs = Counter(_numbers(directory, "executed"))
    causes = _causes(directory, runs, attempts, faults, in_flight)
    return Account(
        published=len(attempts),
        acknowledged=len(acknowledged),
        executed=len(runs),
        dead_lettered=len(dead),
        dead_letters_by_cause=_deaths(directory, dead, faults, in_flight, max_crashes),
        lost=len(acknowledged.difference(runs, dead)),
        duplicates=runs.total() - len(runs),
        duplicates_by_cause=causes,
        stale_settlements_refused=sum(1 for _ in _numbers(directory, "refused")),
    )


def _numbers(directory: Path, kind: books.Kind) -> chain[int]:
    return chain.from_iterable(numbers for _, numbers, _ in books.records(directory, kind))


def _causes(
    directory: Path,
    runs: Counter[int],
    attempts: Counter[int],
    faults: Sequence[Fault],
    in_flight: int,
) -> Mapping[str, int]:
    """Count duplicates by cause.

    All executions of a job but one must be explained: by a fault at which their worker held the
    job, or by as many repeats of its publish.
    """
    causes: Counter[str] = Counter()
    repeated = {number for number, times in runs.items() if times > 1}
    for number, explained in _hit(directory, "executed", repeated, faults, in_flight).items():
        extra = runs[number] - 1
        causes.update(explained[:extra])
        left = max(extra - len(explained), 0)
        repeats = min(left, max(attempts[number] - 1, 0))
        causes[REPUBLISHED] += repeats
        causes[UNEXPLAINED] += left - repeats
    return {cause: times for cause, times in sorted(causes.items()) if times}


def _deaths(
    directory: Path,
    dead: Collection[int],
    faults: Sequence[Fault],
    in_flight: int,
    max_crashes: int,
) -> Mapping[str, int]:
    """Count dead letters by cause: a job has crashed when a fault hit so many of its starts.

    One of them may be missing in the books: the worker was hit before it could start what the
    broker had handed out to it. But then every start there is was hit.
    """
    starts = Counter(number for number in _numbers(directory, "started") if number in dead)
    hits = _hit(directory, "started", dead, faults, in_flight)

    def cause(number: int) -> str:
        crashes = len(hits[number])
        if crashes >= max_crashes:
            return CRASHED
        every = crashes == starts[number] == max_crashes - 1
        return ON_ITS_WAY if every else UNEXPLAINED

    return Counter(map(cause, dead))


def _hit(
    directory: Path,
    kind: books.Kind,
    jobs: Collection[int],
    faults: Sequence[Fault],
    in_flight: int,
) -> Mapping[int, list[str]]:
    """For each of these jobs: the faults that hit its workers while they held it, one a record."""
    found: dict[int, list[str]] = {number: [] for number in jobs}
    for worker, numbers, times in books.records(directory, kind):
        windows = [
            (_held_at(each.at_ns, times, in_flight), each.kind)
            for each in faults
            if worker in each.workers
        ]
        for at, number in enumerate(numbers):
            if number in found:
                found[number] += [fault for held, fault in windows if at in held][:1]
    return found


def _held_at(fault_ns: int, times: Sequence[int], in_flight: int) -> range:
    """Which records of a worker are of jobs it can have held at a fault, by their place.

    It had started or finished at most `in_flight` of them and not settled yet, and what it still
    starts or finishes of what it holds comes next.
    """
    place = bisect_right(times, fault_ns)
    return range(place - in_flight, place + in_flight)
