"""A figure of the queue says how it was measured, and what it does not mean."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from benchmarks.queue import __main__ as bench
from benchmarks.queue.contest import COLUMNS, contest
from benchmarks.queue.stage import Stage

README = (Path(__file__).parents[2] / "README.md").read_text()
FIGURES = " ".join(README.partition("## Figures")[2].partition("\n## ")[0].split())
OURS = next(line for line in README.splitlines() if line.startswith("| no-op jobs"))


def test_benchmarks_flatter_nobody_by_silence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Printed beside the rates: latency, cores, how durable the server is, payload."""
    monkeypatch.setattr(bench, "_version", lambda *_: "")
    monkeypatch.setattr(bench, "redis_version", lambda: "Redis")
    assert {"idle p50 ms", "idle p99 ms"} <= set(COLUMNS)
    assert f"{os.cpu_count()} cores" in bench.about()
    assert "appendonly yes, appendfsync everysec" in bench.about()
    with Stage(quick=True) as stage:
        contest(stage, [], 0)
    assert re.search(r"jobs of \d+ bytes, one process each", capsys.readouterr().out)


@pytest.mark.parametrize("told", ["bytes", "append-only", "one process", "slots", "p99"])
def test_the_readmes_rate_says_how_it_was_measured(told: str) -> None:
    assert told in OURS
    assert re.search(r"on \d+ cores.* loopback.* published before its worker starts", FIGURES)


def test_one_process_is_one_core_is_said_beside_the_go_worker() -> None:
    """A rate of no-op jobs is what the framework costs, and no promise for work on the CPU."""
    assert FIGURES.index("a Go worker") < FIGURES.index("One process is one core")
    assert "what the framework costs a job" in FIGURES
