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
ON_ITS_WAY = "crashed, also on its way to a worker"
REPUBLISHED = "republished"
UNEXPLAINED = "unexplained"


class Fault(msgspec.Struct, frozen=True):
    """Something that was done to some workers."""

    kind: str
    at_ns: int
    workers: Collection[str]
    """Those that may run a job again, or have it run by another, because of it."""
    unwritten_ns: int = 0
    """How long before it the broker may have heard of endings that it forgot."""


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
    on_its_way: int = 1,
) -> Account:
    """Compare the books; `in_flight` is the most that one worker can hold at once.

    `on_its_way` is how many crashes of a job may come from workers that never started it.
    """
    attempts = Counter(_numbers(directory, "published"))
    acknowledged = set(_numbers(directory, "acknowledged"))
    runs = Counter(_numbers(directory, "executed"))
    causes = _causes(directory, runs, attempts, faults, in_flight)
    return Account(
        published=len(attempts),
        acknowledged=len(acknowledged),
        executed=len(runs),
        dead_lettered=len(dead),
        dead_letters_by_cause=_deaths(directory, dead, faults, in_flight, max_crashes, on_its_way),
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
    on_its_way: int,
) -> Mapping[str, int]:
    """Count dead letters by cause: a job has crashed when a fault hit so many of its starts.

    Some may be missing in the books: a worker was hit before it could start what the broker had
    sent it. But then every start there is was hit, and there were faults enough for the rest.
    """
    starts = Counter(number for number in _numbers(directory, "started") if number in dead)
    hits = _hit(directory, "started", dead, faults, in_flight)
    published = _first_times(directory, "published", dead)

    def cause(number: int) -> str:
        crashes = len(hits[number])
        if crashes >= max_crashes:
            return CRASHED
        unseen = max_crashes - crashes
        since = sum(fault.at_ns > published[number] for fault in faults)
        possible = crashes == starts[number] and unseen <= min(on_its_way, since - crashes)
        return ON_ITS_WAY if possible else UNEXPLAINED

    return Counter(map(cause, dead))


def _first_times(directory: Path, kind: books.Kind, jobs: Collection[int]) -> Mapping[int, int]:
    """When each of these jobs was first written down."""
    first: dict[int, int] = {}
    for _, numbers, times in books.records(directory, kind):
        for number, at in zip(numbers, times, strict=True):
            if number in jobs:
                first[number] = min(at, first.get(number, at))
    return first


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
            (_held_at(each, times, in_flight), each.kind)
            for each in faults
            if worker in each.workers
        ]
        for at, number in enumerate(numbers):
            if number in found:
                found[number] += [fault for held, fault in windows if at in held][:1]
    return found


def _held_at(fault: Fault, times: Sequence[int], in_flight: int) -> range:
    """Which records of a worker are of jobs it can have held at a fault, by their place.

    It had started or finished at most `in_flight` of them and not settled yet, and what it still
    starts or finishes of what it holds comes next.
    """
    first = bisect_right(times, fault.at_ns - fault.unwritten_ns) - in_flight
    return range(first, bisect_right(times, fault.at_ns) + in_flight)
