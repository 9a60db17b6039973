"""worker-watch-machine: samples the machine every few seconds, in one process of the fleet.

    EVERY_SECONDS=10 DISK_PERCENT=90 python watch_machine.py
    workers queue schedules machine:jobs

Each sample is a line of JSON. A disk that is too full is a warning; the next sample is a job of
its own, so a worker that dies takes no schedule with it.
"""

import os
import shutil
import sys
from pathlib import Path

import msgspec

from shared.jobs import Job
from shared.observability.logs import get_logger
from shared.pool.processor import Execution
from shared.pool.retry_policy import RetryPolicy
from shared.queue.schedules import Schedule
from shared.queue_worker import run_queue_worker
from shared.verdicts import Done

log = get_logger(__name__)

SAMPLE = Schedule(
    name="sample",
    job=Job(type="sample", payload=b'{"path": "/"}'),
    every_seconds=float(os.environ.get("EVERY_SECONDS", "10")),
    missed="skip",  # yesterday's load can be sampled no more
)


class Disk(msgspec.Struct):
    """Which disk to look at, by a path on it."""

    path: str


class Sample(msgspec.Struct):
    """What was seen."""

    load: float
    available_mb: int
    disk_percent: float


class TakeSample:
    """Reads the load, the memory and a disk."""

    job_type = "sample"
    payload_type = Disk
    timeout_seconds = 5.0
    retry = RetryPolicy(max_attempts=1)

    async def process(self, execution: Execution[Disk]) -> Done:
        """Print a sample."""
        disk = shutil.disk_usage(execution.payload.path)
        sample = Sample(
            load=os.getloadavg()[0],
            available_mb=_available_kb() // 1024,
            disk_percent=round(100 * disk.used / disk.total, 1),
        )
        print(msgspec.json.encode(sample).decode(), flush=True)
        if sample.disk_percent > float(os.environ.get("DISK_PERCENT", "90")):
            log.warning("disk_filling", path=execution.payload.path, percent=sample.disk_percent)
        return Done()


def _available_kb() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1])
    raise OSError("/proc/meminfo does not say what is available")


if __name__ == "__main__":
    sys.exit(run_queue_worker("watch-machine", "machine:jobs", [TakeSample()], schedules=[SAMPLE]))
