"""Metrics are exact: names, labels, buckets, and sums over processes that live and die."""

from __future__ import annotations

import os
import time
import warnings

import pytest
from prometheus_client.parser import text_string_to_metric_families

from shared.observability.exposition import expose
from shared.observability.metrics import GO_BUCKETS, MetricsTable
from shared.pool.metrics import PoolMetrics
from shared.pool.queue_depth import QueueMetrics
from shared.queue.port import QueueDepth


def samples(table: MetricsTable) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    families = text_string_to_metric_families(expose(table).decode())
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def value(table: MetricsTable, name: str, **labels: str) -> float:
    return samples(table)[name, frozenset(labels.items())]


def in_child(work) -> None:
    with warnings.catch_warnings():
        # From Python 3.12 on, forking beside the threads of a test runner is warned about.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        try:
            work()
        finally:
            os._exit(0)
    os.waitpid(pid, 0)


def test_the_pool_shows_what_dashboards_of_the_go_worker_ask_for() -> None:
    table = MetricsTable()
    metrics = PoolMetrics(table, ["index_document"])
    cells = metrics.of("index_document")
    cells.success.add()
    cells.duration.observe(0.2)
    shown = samples(table)
    statuses = {
        dict(labels)["status"] for name, labels in shown if name == "worker_jobs_processed_total"
    }
    assert statuses == {"success", "failure"}
    labels = {"job_type": "index_document", "status": "success"}
    assert value(table, "worker_jobs_processed_total", **labels) == 1
    bounds = [
        dict(key)["le"]
        for name, key in shown
        if name == "worker_job_duration_seconds_bucket"
        and dict(key)["job_type"] == "index_document"
    ]
    numbers = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, float("inf")]
    assert [float(bound) for bound in bounds] == numbers
    assert value(table, "worker_job_duration_seconds_sum", job_type="index_document") == 0.2


@pytest.mark.parametrize("seconds", [0.0, 0.005, 0.0051, 1.0, 10.0, 10.1])
def test_an_observation_is_in_every_bucket_that_is_not_below_it(seconds: float) -> None:
    table = MetricsTable()
    table.histogram("took_seconds", "Time.").cell().observe(seconds)
    for bound in (*GO_BUCKETS, float("inf")):
        le = "+Inf" if bound == float("inf") else str(bound)
        assert value(table, "took_seconds_bucket", le=le) == (seconds <= bound)
    assert value(table, "took_seconds_count") == 1


def test_processes_add_to_rows_of_their_own_and_everybody_sees_the_sum() -> None:
    table = MetricsTable()
    counter = table.counter("done_total", "Done.", {"kind": ["a", "b"]})
    cell = counter.cell("a")
    cell.add(5)  # before the fork
    table.seal(2)

    def child(index: int):
        def work() -> None:
            table.bind(index)
            cell.add(10 * (index + 1))

        return work

    in_child(child(0))
    in_child(child(1))
    assert value(table, "done_total", kind="a") == 35
    assert value(table, "done_total", kind="b") == 0


def test_the_share_of_a_dead_process_stays_and_its_gauges_go() -> None:
    table = MetricsTable()
    done = table.counter("done_total", "Done.").cell()
    busy = table.gauge("busy", "Busy.").cell()
    took = table.histogram("took_seconds", "Time.").cell()
    table.seal(1)

    def work() -> None:
        table.bind(0)
        done.add(3)
        busy.set(2)
        took.observe(0.3)

    in_child(work)
    assert value(table, "busy") == 2
    table.fold(0)
    in_child(work)  # its successor starts from nothing
    assert value(table, "done_total") == 6
    assert value(table, "took_seconds_count") == 2
    assert value(table, "took_seconds_sum") == 0.6
    table.fold(0)
    assert value(table, "busy") == 0
    assert value(table, "done_total") == 6


def test_gauges_fold_as_they_say() -> None:
    table = MetricsTable()
    gauges = {
        "s": table.gauge("s", "Sum.", fold="sum").cell(),
        "m": table.gauge("m", "Max.", fold="max").cell(),
        "age": table.gauge("age", "Age.", fold="age").cell(),
    }
    table.seal(2)
    assert ("age", frozenset()) not in samples(table)
    now = time.monotonic()
    for index in (0, 1):
        table.bind(index)
        gauges["s"].set(index + 1)
        gauges["m"].set(index + 1)
        gauges["age"].set(now - 100 * (index + 1))
    assert value(table, "s") == 3
    assert value(table, "m") == 2
    assert value(table, "age") == pytest.approx(200, abs=5)


def test_mistakes_in_declarations_are_told() -> None:
    table = MetricsTable()
    counter = table.counter("done_total", "Done.", {"kind": ["a"]})
    with pytest.raises(ValueError, match="declared already"):
        table.gauge("done_total", "Again.")
    with pytest.raises(ValueError, match="no cell \\('z',\\); declared: a"):
        counter.cell("z")
    table.seal(1)
    with pytest.raises(RuntimeError, match="sealed"):
        table.counter("late_total", "Late.")
    with pytest.raises(RuntimeError, match="sealed"):
        table.seal(1)
    with pytest.raises(ValueError, match="declared: index_document, unknown"):
        PoolMetrics(MetricsTable(), ["index_document"]).of("other")


async def test_queue_depth_is_shown_once_for_the_group() -> None:
    table = MetricsTable()
    metrics = QueueMetrics(table, ["indexer:jobs"])
    table.seal(2)
    depth = QueueDepth(inbox=1, ready=2, delayed=3, leased=4, dead=5, oldest_ready_age_seconds=6.5)
    for index in (0, 1):
        table.bind(index)
        metrics.show("indexer:jobs", depth)
    shown = {
        state: value(table, "worker_queue_depth", queue="indexer:jobs", state=state)
        for state in ("inbox", "ready", "delayed", "leased", "dead")
    }
    assert shown == {"inbox": 1, "ready": 2, "delayed": 3, "leased": 4, "dead": 5}
    age = value(table, "worker_queue_oldest_ready_age_seconds", queue="indexer:jobs")
    assert age == 6.5
