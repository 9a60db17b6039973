"""What is measured of one peer: throughput, idle latency, what a kill loses, forks."""

from __future__ import annotations

import statistics
import time

import msgspec

from benchmarks.queue.ledger import Ledger
from benchmarks.queue.run import Bench, Worker

WARM_UP = 10
KILL_AFTER = 200
KILL_JOBS = 600
RECOVERY_SECONDS = 150.0
EMPTY_SECONDS = 2.0


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What one run showed."""

    jobs_per_s: float
    cpu_us: float
    """CPU time of the worker's processes a job, microseconds."""
    server_cpu_us: float
    rss_mb: float
    """Peak of the largest process."""
    pss_mb: float
    """All processes at the end, what they share counted once."""
    start_ms: float
    """From the start of the program to the start of its first job."""


class Latency(msgspec.Struct, frozen=True):
    """Milliseconds from publish to start on an idle queue."""

    p50_ms: float
    p99_ms: float


class Killed(msgspec.Struct, frozen=True):
    """What became of the jobs of a worker that was killed in the middle."""

    lost: int
    recovered_after_s: float


def throughput(bench: Bench, jobs: int = 0) -> Figures:
    """Publish all jobs, then let a fresh worker start `jobs` of them (0: all)."""
    ledger = _fresh_ledger(bench, bench.load.jobs)
    bench.publish(ledger)
    with bench.start(ledger) as worker:
        ledger.wait_for_first(worker.alive)
        before = _Used(bench, worker, ledger)
        ledger.wait_for(jobs or ledger.count, worker.alive)
        after = _Used(bench, worker, ledger)
        figures = _figures(before, after, worker, ledger)
        worker.stop()
    return figures


def rounds(bench: Bench, size: int, count: int) -> Figures:
    """Let a worker work off `size` jobs at a time that lie there when it is let go on."""
    ledger = _fresh_ledger(bench, size * count)
    with bench.start(ledger) as worker:
        bench.publish(ledger, COUNT=size)
        ledger.wait_for(size, worker.alive)
        seconds, cpu, server_cpu = 0.0, 0.0, 0.0
        for number in range(1, count):
            with worker.paused():
                bench.publish(ledger, COUNT=size, FIRST=size * number)
                before = _Used(bench, worker, ledger)
            ledger.wait_for(size * (number + 1), worker.alive)
            after = _Used(bench, worker, ledger)
            starts = [ledger.start_of(size * number + n) for n in range(size)]
            seconds += (max(starts) - min(starts)) / 1e9
            cpu += after.cpu - before.cpu
            server_cpu += after.server_cpu - before.server_cpu
        jobs = size * (count - 1)
        return Figures(
            jobs_per_s=jobs / seconds,
            cpu_us=cpu / jobs * 1e6,
            server_cpu_us=server_cpu / jobs * 1e6,
            rss_mb=worker.rss_mb(),
            pss_mb=worker.pss_mb(),
            start_ms=(min(ledger.starts()) - worker.started_ns) / 1e6,
        )


def idle_latency(bench: Bench, jobs: int, every_ms: int) -> Latency:
    """Publish one job at a time to a worker that has nothing to do."""
    ledger = _fresh_ledger(bench, jobs)
    sent = Ledger(bench.directory / "sent", jobs)
    bench.publish(ledger, COUNT=1)  # for the first, slow start
    with bench.start(ledger) as worker:
        ledger.wait_for_first(worker.alive)
        bench.publish(sent, EVERY_MS=every_ms)
        ledger.wait_for(jobs, worker.alive)
        worker.stop()
    waits = [
        (ledger.start_of(n) - sent.start_of(n)) / 1e6 for n in range(min(WARM_UP, jobs - 2), jobs)
    ]
    return Latency(statistics.median(waits), statistics.quantiles(waits, n=100)[98])


def kill_in_the_middle(bench: Bench) -> Killed:
    """Kill a worker that has jobs running, start another, and see which jobs never end."""
    ledger = _fresh_ledger(bench, KILL_JOBS)
    bench.publish(ledger)
    with bench.start(ledger) as worker:
        ledger.wait_for(KILL_AFTER, worker.alive)
    with bench.start(ledger) as worker:
        seconds = ledger.wait_for_ends(_Abandoned(bench), RECOVERY_SECONDS)
        worker.stop()
    return Killed(ledger.missing_ends(), seconds)


def fork_ms(bench: Bench) -> list[float]:
    """Return for each process of a group how long it took from its fork until all parts ran."""
    ledger = _fresh_ledger(bench, bench.load.jobs)
    bench.publish(ledger)
    with bench.start(ledger) as worker:
        ledger.wait_for(ledger.count, worker.alive)
        worker.stop()
        lines = [line for line in worker.log().splitlines() if line.startswith("FORK_MS ")]
    return [float(line.split()[1]) for line in lines]


def _fresh_ledger(bench: Bench, jobs: int) -> Ledger:
    bench.server.clean()
    return Ledger(bench.directory / "ledger", jobs)


class _Used:
    """A reading of what worker and server have used, and how many jobs had been started."""

    def __init__(self, bench: Bench, worker: Worker, ledger: Ledger) -> None:
        marks = ledger.copy()  # counted afterwards, since that takes its time
        self.cpu = worker.cpu_seconds()
        self.server_cpu = bench.server.cpu_seconds()
        self.jobs = ledger.count - marks.count(0)


def _figures(before: _Used, after: _Used, worker: Worker, ledger: Ledger) -> Figures:
    starts = ledger.starts()
    jobs = max(1, after.jobs - before.jobs)
    return Figures(
        jobs_per_s=(len(starts) - 1) / max(1e-9, (max(starts) - min(starts)) / 1e9),
        cpu_us=(after.cpu - before.cpu) / jobs * 1e6,
        server_cpu_us=(after.server_cpu - before.server_cpu) / jobs * 1e6,
        rss_mb=worker.rss_mb(),
        pss_mb=worker.pss_mb(),
        start_ms=(min(starts) - worker.started_ns) / 1e6,
    )


class _Abandoned:
    """Says so when the broker has held nothing for some time: no job will come back."""

    def __init__(self, bench: Bench) -> None:
        self._server = bench.server
        self._since = time.monotonic()

    def __call__(self) -> bool:
        if not self._server.is_empty():
            self._since = time.monotonic()
        return time.monotonic() - self._since > EMPTY_SECONDS
