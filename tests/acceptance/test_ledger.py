"""A small campaign of the ledger on every broker: nothing lost, every duplicate explained."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.ledger.servers import BROKERS

JOBS, KILLS = 10_000, 4

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.mark.parametrize("broker", BROKERS)
def test_nothing_acknowledged_is_lost_while_workers_are_killed(broker: str, tmp_path: Path) -> None:
    BROKERS[broker].make(tmp_path / "here", 0)  # or the test says what to install
    command = [sys.executable, "-m", "benchmarks.ledger", "--broker", broker]
    command += ["--jobs", str(JOBS), "--kills", str(KILLS)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout.removeprefix("LEDGER "))
    assert found["lost"] == 0
    assert found["executed"] + found["dead_lettered"] >= found["acknowledged"] >= JOBS
    assert "unexplained" not in found["duplicates_by_cause"]
    assert found["kills"] == KILLS
    assert (found["server_restarts"], found["cut_connections"]) == (1, 1)
    assert found["pauses_past_the_lease"] == 1
    assert all("lease expired" in reason for reason in found["death_reasons"])
