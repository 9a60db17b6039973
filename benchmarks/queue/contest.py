"""The main table: every worker in turn, several times over, and the figures of RESULT."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from benchmarks.queue import measure
from benchmarks.queue.measure import Figures, Killed, Latency
from benchmarks.queue.peers import (
    GO_WORKER,
    OURS,
    PEERS,
    PYTHON_PEERS,
    Peer,
    ours_from_go,
    with_slots,
)
from benchmarks.queue.run import Load
from benchmarks.queue.stage import Stage
from benchmarks.queue.tables import show

ALWAYS = (OURS, GO_WORKER)
SLOTS = (10, 100, 200)
HEADLINES = (f"{OURS}, 200 slots", f"{GO_WORKER}, 10 slots")
IDLE_EVERY_MS = 10
KILLED_SLOTS = 10
KILLED_SLEEP_MS = 20
COLUMNS = (
    "worker", "jobs/s", "CPU µs a job", "server CPU µs a job", "RSS MB", "PSS MB", "first job ms",
    "idle p50 ms", "idle p99 ms", f"killed: not back of {measure.KILL_JOBS}", "after s", "remarks",
)  # fmt: skip


class Row(msgspec.Struct):
    """What is known of one worker."""

    peer: Peer
    figures: list[Figures] = []
    latencies: list[Latency] = []
    killed: Killed | None = None
    failure: str = ""

    def median(self, name: str) -> float | None:
        """Return the median over the runs; None when there is none."""
        values = [
            getattr(each, name) for each in (*self.figures, *self.latencies) if hasattr(each, name)
        ]
        return statistics.median(values) if values else None


Rows = dict[str, Row]


def contest(stage: Stage, names: Sequence[str], runs: int) -> Rows:
    """Measure all named peers in turn, `runs` times, and print the table."""
    varied = [variant for peer in PEERS if _base(peer) in names for variant in _variants(peer)]
    if stage.quick:
        varied = list(filter(_is_headline, varied))
    rows = {peer.name: Row(peer) for peer in [*varied, ours_from_go]}
    idle = [*filter(_is_headline, varied), ours_from_go]
    for number in range(runs):
        stage.say(f"run {number + 1} of {runs}")
        for peer in varied:
            _try(stage, rows[peer.name], _throughput)
        for peer in idle:
            _try(stage, rows[peer.name], _idle)
    for peer in filter(_is_headline, () if stage.quick else varied):
        _try(stage, rows[peer.name], _kill)
    _show(rows, runs)
    return rows


def result(rows: Rows, fork_ms: float) -> dict[str, float | None]:
    """Return the figures of the last line; None for what was not measured."""
    ours = _best(rows, lambda name: name.startswith(OURS))
    idle = [row for row in rows.values() if row.peer.name.startswith(OURS) and row.latencies]
    own = [row for row in rows.values() if row.peer.name.startswith(OURS) and row.figures]

    def ratio(chosen: Callable[[str], bool]) -> float | None:
        other = _best(rows, chosen)
        return round(ours / other, 2) if ours and other else None

    def worst(of: list[Row], name: str) -> float:
        return round(max(row.median(name) or 0.0 for row in of), 3)

    return {
        "jobs_per_s": round(ours or 0.0),
        "ratio_go_worker": ratio(lambda name: name.startswith(GO_WORKER)),
        "ratio_best_python_peer": ratio(PYTHON_PEERS.__contains__),
        "ratio_river": ratio("river".__eq__),
        "ratio_bullmq": ratio("bullmq".__eq__),
        "idle_p50_ms": worst(idle, "p50_ms"),
        "idle_p99_ms": worst(idle, "p99_ms"),
        "max_rss_mb": worst(own, "rss_mb"),
        "start_ms": worst(own, "start_ms"),
        "fork_ms": round(fork_ms, 1),
    }


def _base(peer: Peer) -> str:
    return peer.name.partition(",")[0]


def _variants(peer: Peer) -> list[Peer]:
    if _base(peer) in ALWAYS:
        return [with_slots(peer, slots) for slots in SLOTS]
    return [peer]


def _is_headline(peer: Peer) -> bool:
    """Whether the row also gets what is measured once a worker, not once a number of slots."""
    return _base(peer) not in ALWAYS or peer.name in HEADLINES


def _throughput(stage: Stage, row: Row) -> None:
    load = Load(jobs=stage.sized(row.peer.jobs))
    row.figures.append(measure.throughput(stage.bench(row.peer, load)))


def _idle(stage: Stage, row: Row) -> None:
    jobs = stage.sized(300)
    row.latencies.append(
        measure.idle_latency(stage.bench(row.peer, Load(jobs=jobs)), jobs, IDLE_EVERY_MS)
    )


def _kill(stage: Stage, row: Row) -> None:
    peer = msgspec.structs.replace(row.peer, slots=min(KILLED_SLOTS, row.peer.slots))
    load = Load(jobs=measure.KILL_JOBS, sleep_ms=KILLED_SLEEP_MS)
    row.killed = measure.kill_in_the_middle(stage.bench(peer, load))


def _try(stage: Stage, row: Row, step: Callable[[Stage, Row], None]) -> None:
    """Let a peer fail alone, and say so; with ours or the Go worker the benchmark fails."""
    if row.failure:
        return
    try:
        step(stage, row)
    except (RuntimeError, TimeoutError) as error:
        if _base(row.peer) in ALWAYS:
            raise
        row.failure = str(error).splitlines()[0]
        stage.say(f"{row.peer.name} failed: {error}")


def _show(rows: Rows, runs: int) -> None:
    lines: list[list[Any]] = []
    for row in rows.values():
        figures = [row.median(name) for name in Figures.__struct_fields__]
        latency = [row.median(name) for name in Latency.__struct_fields__]
        killed = [row.killed.lost, row.killed.recovered_after_s] if row.killed else [None, None]
        lines.append([row.peer.name, *figures, *latency, *killed, row.failure])
    size = Load(jobs=0).payload_bytes
    title = f"no-op jobs of {size} bytes, one process each, medians of {runs} alternating runs"
    show(title, COLUMNS, lines)


def _best(rows: Rows, chosen: Callable[[str], bool]) -> float | None:
    rates = [
        rate
        for row in rows.values()
        if chosen(row.peer.name) and (rate := row.median("jobs_per_s"))
    ]
    return max(rates, default=None)
