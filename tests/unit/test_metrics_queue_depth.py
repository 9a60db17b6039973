"""The queue depth probe keeps asking, whatever happens to the queue."""

from __future__ import annotations

import asyncio

from shared.errors import ConnectionLostError
from shared.observability.metrics import MetricsTable
from shared.pool.queue_depth import QueueDepthProbe, QueueMetrics
from shared.queue.port import QueueDepth


async def shown_for(answers: list[QueueDepth | ConnectionLostError]) -> list[float]:
    """Return what is shown as ready before each answer, and after the last."""
    table = MetricsTable()
    metrics = QueueMetrics(table, ["jobs"])
    shown: list[float] = []
    stop = asyncio.Event()
    ready = next(m for m in table.metrics if m.name == "worker_queue_depth").cell("jobs", "ready")

    async def depth() -> QueueDepth:
        shown.append(table.total(ready.at))
        if not answers:
            stop.set()
            return QueueDepth()
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async with asyncio.timeout(10):
        await QueueDepthProbe("jobs", depth, metrics, every_seconds=0.01).run(stop)
    return shown


async def test_the_probe_survives_a_lost_connection_and_shows_the_next_answer() -> None:
    shown = await shown_for([QueueDepth(ready=1), ConnectionLostError("cut"), QueueDepth(ready=7)])
    assert shown == [0, 1, 1, 7]


async def test_a_process_that_is_cut_off_does_not_keep_the_depth_of_the_group_up() -> None:
    cut = ConnectionLostError("cut")
    shown = await shown_for(
        [
            QueueDepth(ready=9),
            cut,
            cut,
            QueueDepth(ready=8),
            cut,
            cut,
            cut,
            cut,
            QueueDepth(ready=7),
        ]
    )
    assert shown == [0, 9, 9, 9, 8, 8, 8, 0, 0, 7]
