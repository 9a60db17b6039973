"""Start-up stays short: the core imports nothing it does not need to become ready."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from shared.queue_worker import run_queue_worker

LATER = (
    "structlog",
    "prometheus_client",
    "tenacity",
    "redis",
    "asyncpg",
    "aiohttp",
    "ctypes",
    "opentelemetry",
    "cronsim",
    "tomllib",
    "shared.queue.administration",
)


FIRST_JOB = f"""
import asyncio, os, signal, sys
from shared.jobs import Job
from shared.queue.factory import create_queue
from shared.queue.port import QueueSettings
from shared.queue_worker import run_queue_worker
from shared.pool.retry_policy import RetryPolicy
from shared.verdicts import Done

class Look:
    job_type, payload_type, timeout_seconds, retry = "look", None, 5.0, RetryPolicy()

    async def process(self, execution):
        print(*[name for name in {LATER} if name in sys.modules])
        os.kill(os.getpid(), signal.SIGTERM)
        return Done()

queue = create_queue(QueueSettings(name="jobs"), "memory://")
asyncio.run(queue.publish([Job(type="look", payload=b"null")]))
environ = dict(QUEUE_URL="memory://", LOG_FORMAT="json")
sys.exit(run_queue_worker("tester", "jobs", [Look()], environ=environ))
"""


def test_a_worker_loads_nothing_before_its_first_job_that_can_wait() -> None:
    answer = subprocess.run(
        [sys.executable, "-c", FIRST_JOB],
        capture_output=True, text=True, check=True, env=os.environ, timeout=60,
    )  # fmt: skip
    assert answer.stdout == "\n", answer.stderr


def test_the_redis_library_does_not_load_opentelemetry_and_others_still_can() -> None:
    code = (
        "import sys, shared.queue.redis.queue\n"
        "print(*[name for name in ('opentelemetry.metrics', 'psutil') if name in sys.modules])\n"
        "from opentelemetry.sdk.metrics import MeterProvider\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ
    )
    assert answer.stdout.split() == []


@pytest.mark.parametrize(("processes", "loaded"), [("1", []), ("2", ["shared.queue.memory"])])
def test_the_processes_of_a_group_are_forked_with_their_adapter(
    processes: str, loaded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Importing it would be most of the time until a forked worker works."""
    preloads = []
    monkeypatch.setattr(
        "shared.queue_worker.run_worker", lambda *_, preload: preloads.append(list(preload)) or 0
    )
    environ = {"QUEUE_URL": "memory://", "PROCESSES": processes}
    assert run_queue_worker("tester", "jobs", [], environ=environ) == 0
    assert preloads == [loaded]
