"""What a supervisor decides by figures alone."""

from __future__ import annotations

import itertools
import time
from http import HTTPStatus

from shared.observability.metrics import MetricsTable
from shared.supervisor.heartbeat import STUCK_SECONDS, ProcessMetrics
from shared.supervisor.routes import metrics_routes
from shared.supervisor.seat import pause_before_restart


def test_pauses_before_restarts_double_within_bounds() -> None:
    pauses = list(itertools.accumulate(range(9), lambda last, _: pause_before_restart(last, 1.0)))
    assert pauses == [0, 0.5, 1, 2, 4, 8, 16, 30, 30]


def test_a_steady_run_is_forgiven() -> None:
    assert pause_before_restart(30.0, 61.0) == 0.5


async def test_a_process_whose_loop_does_not_move_is_named() -> None:
    table = MetricsTable()
    metrics = ProcessMetrics(table)
    table.seal(3)
    live = metrics_routes(table, metrics)["/health/live"]
    now = time.monotonic()
    for index, age in ((0, 1.0), (1, STUCK_SECONDS - 1)):  # the third is just being started
        table.bind(index)
        metrics.beat.set(now - age)
    assert (await live({})).status is HTTPStatus.OK
    metrics.beat.set(now - STUCK_SECONDS - 1)
    response = await live({})
    assert response.status is HTTPStatus.SERVICE_UNAVAILABLE
    assert b"process 1 does not move" in response.body
