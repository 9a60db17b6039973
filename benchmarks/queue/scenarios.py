"""The further tables: sleeping jobs, payloads, processes, backlogs, features. Single runs."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import msgspec

from benchmarks.queue import measure
from benchmarks.queue.features import FEATURES
from benchmarks.queue.measure import Figures
from benchmarks.queue.peers import PEERS, Peer, ours, ours_here
from benchmarks.queue.run import Load
from benchmarks.queue.stage import Stage
from benchmarks.queue.tables import show
from shared.queue.factory import create_queue
from shared.queue.port import QueueSettings

CONCURRENCY = (10, 100, 1_000)
SLEEP_MS = 5
PAYLOAD_BYTES = (150, 2_048, 65_536)
MOST_BYTES = 300 << 20
PROCESSES = (1, 2)
SMALL_BACKLOG, LARGE_BACKLOG = 1_000, 5_000_000
BACKLOG_JOBS = 100_000
FEATURE_JOBS = 60_000


def sleeping(stage: Stage, names: Sequence[str]) -> None:
    """Jobs that wait for something else: what counts is how many wait at once."""
    rows = []
    for peer in _peers(names):
        cells: list[object] = [peer.name]
        for slots in CONCURRENCY:
            wider = msgspec.structs.replace(peer, slots=slots)
            jobs = stage.sized(min(peer.jobs, 300 * slots))
            cells.append(_rate(stage, wider, Load(jobs=jobs, sleep_ms=SLEEP_MS)))
        rows.append(cells)
    ideal = [slots * 1000 // SLEEP_MS for slots in CONCURRENCY]
    rows.append(["if sleeping were all", *ideal])
    columns = ["jobs/s", *(f"{slots:,} at once" for slots in CONCURRENCY)]
    show(f"jobs that sleep {SLEEP_MS} ms", columns, rows)


def payloads(stage: Stage, names: Sequence[str]) -> None:
    """Larger payloads."""
    rows = []
    for peer in _peers(names):
        cells: list[object] = [peer.name]
        for size in PAYLOAD_BYTES:
            jobs = stage.sized(min(peer.jobs, MOST_BYTES // size))
            cells.append(_rate(stage, peer, Load(jobs=jobs, payload_bytes=size)))
        rows.append(cells)
    show("payloads", ["jobs/s", *(f"{size:,} bytes" for size in PAYLOAD_BYTES)], rows)


def processes(stage: Stage, names: Sequence[str]) -> None:
    """Two processes beside the server, on a machine that may have no more than two cores."""
    rows = []
    for peer in _peers(names):
        loads = [Load(jobs=stage.sized(peer.jobs), processes=count) for count in PROCESSES]
        rows.append([peer.name, *(_rate(stage, peer, load) for load in loads)])
    show("processes", ["jobs/s", *(str(count) for count in PROCESSES)], rows)


def backlog(stage: Stage) -> None:
    """What a job costs must not depend on how many wait."""
    waits = stage.sized(LARGE_BACKLOG)
    jobs = stage.sized(BACKLOG_JOBS)
    small = measure.rounds(
        stage.bench(ours, Load(jobs=0)), SMALL_BACKLOG, max(3, jobs // SMALL_BACKLOG)
    )
    large = measure.throughput(stage.bench(ours, Load(jobs=waits)), jobs)
    rows = [
        [f"{size:,} wait", each.jobs_per_s, each.cpu_us, each.server_cpu_us]
        for size, each in ((SMALL_BACKLOG, small), (waits, large))
    ]
    show("ours, by backlog", ["", "jobs/s", "CPU µs a job", "server CPU µs a job"], rows)


def features(stage: Stage, times: int) -> None:
    """What a feature costs those who use it."""
    queue = create_queue(QueueSettings(name="unused"), "redis://127.0.0.1")
    offered = [
        name
        for name, feature in FEATURES.items()
        if not feature.capability or getattr(queue.capabilities, feature.capability)
    ]
    runs: dict[str, list[Figures]] = {name: [] for name in offered}
    load = Load(jobs=stage.sized(FEATURE_JOBS))
    for _ in range(times):
        for name in offered:
            used = msgspec.structs.replace(load, feature=name)
            peer = ours_here if FEATURES[name].needs_sdk else ours
            runs[name].append(measure.throughput(stage.bench(peer, used)))
    rows = []
    for name, figures in runs.items():
        rate, cpu, server_cpu = (
            statistics.median(getattr(each, field) for each in figures)
            for field in ("jobs_per_s", "cpu_us", "server_cpu_us")
        )
        rows.append([FEATURES[name].what, rate, cpu, server_cpu])
    show("ours, by what each job uses", ["", "jobs/s", "CPU µs a job", "server CPU µs a job"], rows)


def fork_ms(stage: Stage, runs: int) -> float:
    """Return the median time from the fork of a worker process until all its parts run."""
    load = Load(jobs=stage.sized(1_000), processes=2)
    bench = stage.bench(ours, load)
    return statistics.median(each for _ in range(runs) for each in measure.fork_ms(bench))


def _peers(names: Sequence[str]) -> list[Peer]:
    return [peer for peer in PEERS if peer.name in names]


def _rate(stage: Stage, peer: Peer, load: Load) -> object:
    try:
        return measure.throughput(stage.bench(peer, load)).jobs_per_s
    except (RuntimeError, TimeoutError) as error:
        stage.say(f"{peer.name} failed: {error}")
        return "failed"
