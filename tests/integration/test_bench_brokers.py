"""`python -m benchmarks.brokers`: one command that measures, and says how."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest


def test_one_command_measures_a_broker_beside_its_client() -> None:
    command = [sys.executable, "-m", "benchmarks.brokers", "--quick", "--broker", "nats"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    *told, last = done.stdout.splitlines()
    name, _, figures = last.partition(" ")
    assert name == "BROKERS"
    found = json.loads(figures)["nats"]
    assert all(found[f"{side}_per_s"] > 0 for side in ("exchange", "pool", "bare", "ceiling"))
    assert found["exchange_to_bare"] == pytest.approx(
        found["exchange_per_s"] / found["bare_per_s"], abs=0.01
    )
    assert any("sync_interval always" in line and "nats-py" in line for line in told)
