"""worker-clean-up: deletes old files every night, a bounded number at a time.

    CLEAN=/srv/uploads OLDER_THAN_DAYS=30 python clean_up.py

Fires at three in the morning, Berlin time; one night that was missed is made up for once. A run
that has more to do snoozes and goes on, which spends no attempt.
"""

import os
import sys
import time
from itertools import islice
from pathlib import Path

import msgspec

from shared.errors import PermanentError
from shared.jobs import Job
from shared.pool.processor import Execution
from shared.pool.retry_policy import RetryPolicy
from shared.queue.schedules import Schedule
from shared.queue_worker import run_queue_worker
from shared.verdicts import Done, Snooze, Verdict

MOST_AT_ONCE = 1_000
NIGHTLY = Schedule(
    name="clean-up",
    job=Job(
        type="clean",
        payload=b'{"older_than_days": %d}' % int(os.environ.get("OLDER_THAN_DAYS", "30")),
        dedup_key="clean",
    ),
    cron="0 3 * * *",
    timezone="Europe/Berlin",
    missed="latest",
)


class Clean(msgspec.Struct):
    """What to delete."""

    older_than_days: float


class CleanUp:
    """Deletes files below CLEAN that nobody has written for so long; follows no link."""

    job_type = "clean"
    payload_type = Clean
    timeout_seconds = 300.0
    retry = RetryPolicy(max_attempts=3)

    def process(self, execution: Execution[Clean]) -> Verdict:
        """Delete up to a thousand files, on a thread; come back for more."""
        directory = Path(os.environ.get("CLEAN", ""))
        if not os.environ.get("CLEAN") or not directory.is_dir():
            raise PermanentError(f"CLEAN={directory} is no directory")
        before = time.time() - execution.payload.older_than_days * 86_400
        old = (
            path
            for path in directory.rglob("*")
            if not path.is_symlink() and path.is_file() and path.stat().st_mtime < before
        )
        deleted = 0
        for path in islice(old, MOST_AT_ONCE):
            path.unlink(missing_ok=True)
            deleted += 1
        print(f"deleted {deleted}", flush=True)
        return Snooze(after=0.1) if deleted == MOST_AT_ONCE else Done()


if __name__ == "__main__":
    sys.exit(run_queue_worker("clean-up", "clean:jobs", [CleanUp()], schedules=[NIGHTLY]))
