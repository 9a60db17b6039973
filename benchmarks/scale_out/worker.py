"""A worker of no-op jobs on a queue of several shards: `python -m benchmarks.scale_out.worker`."""

from __future__ import annotations

import os
import sys

import msgspec

from shared.pool.processor import Execution
from shared.pool.retry_policy import RetryPolicy
from shared.queue.port import QueueSettings
from shared.queue_worker import run_queue_worker
from shared.verdicts import Done

QUEUE = "bench:scale"


class Nothing(msgspec.Struct, gc=False):
    """Decoded for each job."""

    document_id: str


class Noop:
    """Does nothing."""

    job_type = "noop"
    payload_type = Nothing
    timeout_seconds = 30.0
    retry = RetryPolicy()

    async def process(self, execution: Execution[Nothing]) -> Done:
        """Do nothing."""
        return Done()


def settings() -> QueueSettings:
    """Return the queue, with the shards of the environment."""
    return QueueSettings(name=QUEUE, shards=int(os.environ.get("BENCH_SHARDS", "1")))


if __name__ == "__main__":
    sys.exit(run_queue_worker("bench", settings(), [Noop()]))
