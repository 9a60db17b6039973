"""The code on the page about processors runs as it stands there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "processors.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)

CLOSED = """
import asyncio, msgspec
from shared.jobs import new_job
from shared.testing import JobBench
from shared.verdicts import Done

class Anything:
    job_type, payload_type, timeout_seconds = "any", dict, 30.0
    from shared.pool.retry_policy import RetryPolicy
    retry = RetryPolicy()
    async def process(self, execution):
        return Done()

async def main():
    async with JobBench(Anything(), middleware=[report_slow_jobs, Closed({"acme"})]) as bench:
        jobs = [new_job("any", {}, headers=(("tenant", name),)) for name in ("acme", "other")]
        await bench.publish(*jobs)
        await bench.run_until_idle()
        assert bench.verdicts(jobs[0]) == [Discard("the account is closed")]
        assert bench.verdicts(jobs[1]) == [Done()]

asyncio.run(main())
"""


def test_every_block_is_run_here() -> None:
    assert len(BLOCKS) == 3


@pytest.mark.parametrize(
    "code",
    [BLOCKS[0] + CLOSED, BLOCKS[1], BLOCKS[2]],
    ids=["middleware", "tracing", "testing"],
)
def test_the_code_on_the_page_runs(code: str) -> None:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
