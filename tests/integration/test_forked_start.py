"""A process of a group is forked with all it needs: it imports nothing until it works."""

from __future__ import annotations

import os
import subprocess
import sys

from shared.jobs import Job
from shared.queue.factory import create_queue
from shared.queue.port import QueueSettings

PROGRAM = """
import os, sys
from shared.pool.retry_policy import RetryPolicy
from shared.queue_worker import run_queue_worker
from shared.verdicts import Done

before = set()
os.register_at_fork(after_in_child=lambda: before.update(sys.modules))

class Look:
    job_type, payload_type, timeout_seconds, retry = "look", int, 5.0, RetryPolicy()

    async def process(self, execution):
        print(f"imported {sorted(set(sys.modules) - before)}", flush=True)
        return Done()

sys.exit(run_queue_worker("tester", "looks", [Look()]))
"""


async def test_a_forked_process_imports_nothing_before_its_first_job(redis_url: str) -> None:
    queue = create_queue(QueueSettings(name="looks"), redis_url)
    await queue.publish([Job(type="look", payload=b"1")])
    await queue.close()
    environ = {**os.environ, "REDIS_URL": redis_url, "PROCESSES": "2", "LOG_FORMAT": "json"}
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True, env=environ
    ) as worker:
        assert worker.stdout is not None
        said = worker.stdout.readline()
        worker.terminate()
    assert said == "imported []\n"
