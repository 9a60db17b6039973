"""Rates, latencies and slots of `workers top`."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from click.testing import CliRunner

from shared.observability.exposition import expose
from shared.observability.metrics import MetricsTable
from shared.pool.metrics import PoolMetrics
from workers.__main__ import main
from workers.top.figures import figures, samples_of


class Metered:
    """The metrics of a pool, as a worker shows them."""

    def __init__(self) -> None:
        self._table = MetricsTable()
        self.pool = PoolMetrics(self._table, ["index"])
        self.pool.slots.set(10)

    def ran(self, count: int, seconds: float = 0.02, *, failed: bool = False) -> None:
        cells = self.pool.of("index")
        for _ in range(count):
            (cells.failure if failed else cells.success).add()
            cells.duration.observe(seconds)

    def text(self) -> str:
        return expose(self._table).decode()


def test_rates_are_those_between_two_looks() -> None:
    worker = Metered()
    worker.ran(1_000)
    before = samples_of(worker.text())
    worker.ran(30, 0.02)
    worker.ran(10, 0.3, failed=True)
    worker.pool.of("index").dead_letters.add()
    worker.pool.slots_busy.set(4)

    found = figures("here", before, samples_of(worker.text()), 2.0)

    assert (found.slots, found.busy, found.hosts_at_rest) == (10, 4, None)
    (index,) = found.types
    assert (index.job_type, index.per_second, index.failures_per_second) == ("index", 20.0, 5.0)
    assert index.dead_per_second == 0.5
    assert (index.p50_seconds, index.p99_seconds) == (0.025, 0.5)


def test_a_worker_that_started_anew_counts_from_nothing() -> None:
    old, new = Metered(), Metered()
    old.ran(1_000)
    new.ran(10)
    (index,) = figures("here", samples_of(old.text()), samples_of(new.text()), 1.0).types
    assert index.per_second == 10.0


def test_a_type_that_rests_has_no_latency() -> None:
    samples = samples_of(Metered().text())
    (index,) = figures("here", samples, samples, 1.0).types
    assert (index.per_second, index.p50_seconds) == (0.0, None)


def test_what_took_longer_than_the_last_bucket_is_said_to() -> None:
    worker = Metered()
    before = samples_of(worker.text())
    worker.ran(1, 60.0)
    (index,) = figures("here", before, samples_of(worker.text()), 1.0).types
    assert index.p99_seconds == float("inf")


@pytest.fixture
def address() -> Iterator[str]:
    """A worker that runs seven jobs between any two looks."""
    worker = Metered()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            worker.ran(7)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(worker.text().encode())

        def log_message(self, *_: object) -> None:
            """Silent."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def run(*arguments: str) -> str:
    ran = CliRunner().invoke(main, ["top", "--once", "--interval", "0.1", *arguments])
    assert ran.exit_code == 0, ran.output
    return ran.output


def test_workers_and_queues_are_shown(
    address: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", redis_url)
    look = json.loads(run("--worker", address, "--queue", "jobs", "--json"))
    (worker,) = look["workers"]
    assert worker["types"][0]["per_second"] == pytest.approx(7 / look["seconds"])
    assert look["queues"]["jobs"]["ready"] == 0
    assert "index" in run("--worker", address, "--queue", "jobs")


def test_who_does_not_answer_is_named_and_no_secret_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUEUE_URL", "redis://:canary@127.0.0.1:9/0")
    said = run("--worker", "http://127.0.0.1:9", "--queue", "jobs")
    assert "http://127.0.0.1:9 does not answer" in said
    assert "jobs does not answer" in said
    assert "canary" not in said


def test_an_address_that_is_none_is_refused() -> None:
    ran = CliRunner().invoke(main, ["top", "--worker", "file:///etc/passwd"])
    assert ran.exit_code == 2
    assert "http://host:port" in ran.output
