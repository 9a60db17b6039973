"""worker-log-lines: counts access-log lines by minute and status, each line exactly once.

A log shipper pushes raw lines in the common log format to a list, nothing else:

    LPUSH log:lines '203.0.113.7 - - [24/Nov/2026:18:00:01 +0000] "GET / HTTP/1.1" 200 5120'

A batch is one transaction of SQLite (SUMMARY names the file), and the keys of its jobs are written
in the same transaction: so a line that is delivered twice, after a kill, is counted once.
"""

import os
import re
import sqlite3
import sys
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

from shared.jobs import Job
from shared.pool.processor import Execution
from shared.pool.retry_policy import RetryPolicy
from shared.queue_worker import run_queue_worker
from shared.verdicts import DeadLetter, Done, Verdict

LINE = re.compile(r'\S+ \S+ \S+ \[(?P<time>[^\]]+)\] "[^"]*" (?P<status>\d{3}) (?P<bytes>\d+|-)')
SCHEMA = """
CREATE TABLE IF NOT EXISTS counted (key TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS summary (
    minute TEXT, status INTEGER, hits INTEGER, bytes INTEGER, PRIMARY KEY (minute, status)
) WITHOUT ROWID;
"""
ADD = """
INSERT INTO summary VALUES (?, ?, ?, ?) ON CONFLICT (minute, status)
DO UPDATE SET hits = hits + excluded.hits, bytes = bytes + excluded.bytes
"""


def line(raw: bytes) -> Job:
    """Make a job of a raw line."""
    return Job(type="line", payload=b'"%s"' % raw.hex().encode())


class CountLines:
    """Counts a batch of lines in one transaction, on a thread of the pool."""

    job_type = "line"
    payload_type = str
    timeout_seconds = 30.0
    retry = RetryPolicy()
    batch_size = 500
    linger_seconds = 0.2

    def process_batch(self, batch: Sequence[Execution[str]]) -> Sequence[Verdict]:
        """Return a verdict for each line; what is no log line becomes a dead letter."""
        database = sqlite3.connect(os.environ.get("SUMMARY", "summary.db"), timeout=20)
        hits: Counter[tuple[str, int]] = Counter()
        size: Counter[tuple[str, int]] = Counter()
        verdicts: list[Verdict] = []
        database.executescript(SCHEMA)
        with database:
            for execution in batch:
                text = bytes.fromhex(execution.payload).decode(errors="replace")
                found = LINE.match(text)
                verdicts.append(Done() if found else DeadLetter("not in the common log format"))
                if found and _is_new(database, execution.delivery.job.key):
                    cell = _minute(found["time"]), int(found["status"])
                    hits[cell] += 1
                    size[cell] += 0 if found["bytes"] == "-" else int(found["bytes"])
            database.executemany(ADD, [(*cell, n, size[cell]) for cell, n in hits.items()])
        database.close()
        return verdicts


def _is_new(database: sqlite3.Connection, key: str) -> bool:
    added = database.execute("INSERT OR IGNORE INTO counted VALUES (?)", (key,))
    return added.rowcount == 1


def _minute(text: str) -> str:
    read = datetime.strptime(text, "%d/%b/%Y:%H:%M:%S %z").astimezone(UTC)
    return read.strftime("%Y-%m-%dT%H:%MZ")


if __name__ == "__main__":
    sys.exit(run_queue_worker("log-lines", "log:lines", [CountLines()], decoder=line))
