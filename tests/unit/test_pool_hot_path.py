"""What is known to cost more than a job may cost is done per batch, or not at all."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from typing import Any

import pytest

from shared.observability import metrics
from shared.observability.logs import EventLogger
from shared.queue.memory.broker import MemoryBroker
from shared.queue.memory.queue import MemoryQueue
from shared.queue.port import QueueSettings
from tests.integration.counting_pool import Counting, numbers, pool_on

JOBS = 500


async def calls_of(patch: pytest.MonkeyPatch, jobs: int) -> Counter[str]:
    """Run so many jobs through a pool; count the calls of what is expensive."""
    calls: Counter[str] = Counter()

    def counted(name: str, original: Any) -> Any:
        def call(*args: Any, **more: Any) -> Any:
            calls[name] += 1
            return original(*args, **more)

        return call

    queue = MemoryQueue(QueueSettings(name="numbers"), MemoryBroker())
    counting = Counting()
    await queue.publish(numbers(*range(jobs)))
    with patch.context() as context:
        context.setattr(asyncio, "wait_for", counted("wait_for", asyncio.wait_for))
        context.setattr(asyncio, "timeout", counted("timeout", asyncio.timeout))
        context.setattr(uuid, "uuid4", counted("uuid4", uuid.uuid4))
        context.setattr(EventLogger, "_write", counted("log line", EventLogger._write))
        for kind in (metrics.Counter, metrics.Histogram, metrics.Gauge):
            context.setattr(kind, "cell", counted("label lookup", kind.cell))
        async with pool_on(queue, counting, slots=50):
            await counting.reaches(jobs)
    return calls


async def test_no_job_costs_a_timer_a_log_line_a_uuid_or_a_label_lookup(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    few = await calls_of(monkeypatch, 1)
    many = await calls_of(monkeypatch, JOBS)
    for name in ("uuid4", "log line", "label lookup"):
        assert many[name] == few[name], name
    for name in ("wait_for", "timeout"):
        assert many[name] - few[name] < JOBS / 10, "per wait for work, not per job"
