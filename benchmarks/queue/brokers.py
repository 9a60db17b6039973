"""The table by broker: our worker, faststream, and the bare client, which does nothing else."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from benchmarks.queue import measure
from benchmarks.queue.peers import APPS, OURS_PYTHON, PEERS, Peer, ours
from benchmarks.queue.processes import cpu_seconds
from benchmarks.queue.run import Load
from benchmarks.queue.stage import Stage
from benchmarks.queue.tables import show
from benchmarks.queue.toolchain import VENVS, build_ours, build_venv
from tests.services.kafka import Kafka
from tests.services.nats import Nats
from tests.services.rabbitmq import RabbitMQ

COLUMNS = (
    "", "ours jobs/s", "faststream jobs/s", "bare client jobs/s", "ours / faststream",
    "ours / bare", "our CPU µs a job", "server CPU µs a job",
)  # fmt: skip


class FreshServer:
    """A server that starts again, on nothing, for each run."""

    def __init__(self, make: Callable[[Path], Any], directory: Path) -> None:
        self._make = make
        self._directory = directory
        self._number = 0
        self._server: Any = None

    @property
    def url(self) -> str:
        """Where the present one listens."""
        return str(self._server.url)

    def clean(self) -> None:
        """Start another."""
        self.stop()
        self._number += 1
        directory = self._directory / str(self._number)
        directory.mkdir(parents=True)
        self._server = self._make(directory)
        self._server.start()

    def cpu_seconds(self) -> float:
        """Return what the present one has used."""
        return cpu_seconds(self._server.pid or 0)

    def is_empty(self) -> bool:
        """Not known."""
        return False

    def stop(self) -> None:
        """End the present one."""
        if self._server is not None:
            self._server.stop()


class Contest(msgspec.Struct, frozen=True):
    """Who runs on one broker."""

    broker: str
    faststream: Peer
    bare: Peer
    jobs: int
    """How many make a run of ours of a few seconds."""
    server: Callable[[Path], Any] | None = None
    """None: the stage's own."""


def _rivals(broker: str, extra: str, jobs: int) -> tuple[Peer, Peer]:
    environment = f"faststream_{extra}"
    binaries, module = VENVS / environment / "bin", f"{APPS}.{broker}_app"
    python = (str(binaries / "python"), "-m", module)
    rival = Peer(
        name=f"faststream, {broker}",
        work=(str(binaries / "faststream"), "run", f"{module}:app", "--log-level", "warning"),
        publish=python,
        slots=100,
        jobs=jobs,
        build=lambda: build_venv(environment),
    )
    bare = msgspec.structs.replace(rival, name=f"bare client, {broker}", work=(*python, "bare"))
    return rival, bare


_REDIS_APP = (str(OURS_PYTHON), "-m", f"{APPS}.redis_app")
CONTESTS = (
    Contest(
        "redis",
        next(peer for peer in PEERS if peer.name == "faststream"),
        Peer(
            name="bare client, redis",
            work=(*_REDIS_APP, "bare"),
            publish=_REDIS_APP,
            slots=200,
            jobs=200_000,
            build=build_ours,
        ),
        200_000,
    ),
    Contest("nats", *_rivals("nats", "nats", 10_000), 40_000, Nats),
    Contest("kafka", *_rivals("kafka", "kafka", 10_000), 40_000, Kafka),
    Contest("rabbitmq", *_rivals("rabbitmq", "rabbit", 10_000), 20_000, RabbitMQ),
)


def by_broker(stage: Stage, runs: int) -> None:
    """Measure the three in turn on each broker, `runs` times, and print the table."""
    rows = []
    for contest in CONTESTS:
        try:
            rows.append(_row(stage, contest, runs))
        except pytest.skip.Exception as missing:
            stage.say(str(missing))
    show(f"no-op jobs by broker, medians of {runs} alternating runs", COLUMNS, rows)


def _row(stage: Stage, contest: Contest, runs: int) -> list[object]:
    if contest.server:
        stage.add(contest.broker, FreshServer(contest.server, stage.directory / contest.broker))
    own = msgspec.structs.replace(ours, name=f"ours, {contest.broker}", jobs=contest.jobs)
    peers = (own, contest.faststream, contest.bare)
    found: dict[str, list[measure.Figures]] = {peer.name: [] for peer in peers}
    for _ in range(runs):
        for peer in peers:
            peer = msgspec.structs.replace(peer, broker=contest.broker)
            load = Load(jobs=stage.sized(peer.jobs))
            found[peer.name].append(measure.throughput(stage.bench(peer, load)))

    def median(peer: Peer, name: str) -> float:
        return statistics.median(getattr(each, name) for each in found[peer.name])

    rate, rival, bare = (median(peer, "jobs_per_s") for peer in peers)
    costs = median(own, "cpu_us"), median(own, "server_cpu_us")
    return [contest.broker, rate, rival, bare, rate / rival, rate / bare, *costs]
