"""The second table: how fast the three workers of the suite are ready, and what they take."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from benchmarks.queue.peers import OURS_PYTHON, ours
from benchmarks.queue.processes import peak_rss_mb, pss_mb, tree
from benchmarks.queue.stage import Stage
from benchmarks.queue.tables import show
from benchmarks.queue.toolchain import ROOT
from shared.embedded.server_process import free_port

WORKERS = ("crawler", "indexer", "sync")
READY_SECONDS = 60.0
STOP_SECONDS = 15.0
POLL_SECONDS = 0.002


def start_up(stage: Stage, runs: int) -> None:
    """Start each worker as a user does, on servers that hold nothing, until it says it is ready."""
    ours.build()
    for broker in ("redis", "postgres"):
        stage.server(broker).clean()
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "REDIS_URL": stage.server("redis").url,
        "DATABASE_URL": stage.server("postgres").url,
        "SEARCH_BACKEND": "tantivy",
        "TANTIVY_DIR": str(stage.directory / "tantivy"),
    }
    rows = []
    for name in WORKERS:
        _start(name, environment, stage.directory)  # makes the schema, and warms the disk's cache
        found = [_start(name, environment, stage.directory) for _ in range(runs)]
        medians = [statistics.median(values) for values in zip(*found, strict=True)]
        rows.append([f"worker-{name}", *medians[:3], round(medians[3])])
    columns = ["", "ready after ms", "RSS MB", "PSS MB", "processes"]
    show(f"the three workers, ready on servers that are there, medians of {runs}", columns, rows)


def _start(name: str, environment: dict[str, str], directory: Path) -> tuple[float, ...]:
    port = free_port()
    command = [str(OURS_PYTHON), "-m", name, "run", "--metrics-port", str(port)]
    with (directory / f"{name}.log").open("w+") as log:
        began = time.monotonic()
        worker = subprocess.Popen(command, env=environment, cwd=ROOT, stdout=log, stderr=log)
        try:
            while not _is_ready(port):
                if worker.poll() is not None or time.monotonic() - began > READY_SECONDS:
                    log.seek(0)
                    raise RuntimeError(f"worker-{name} does not become ready:\n{log.read()}")
                time.sleep(POLL_SECONDS)
            ready_ms = (time.monotonic() - began) * 1000
            pid = worker.pid
            return ready_ms, peak_rss_mb(pid), pss_mb(pid), float(len(list(tree(pid))))
        finally:
            worker.terminate()
            worker.wait(STOP_SECONDS)


def _is_ready(port: int) -> bool:
    try:
        with urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=5) as answer:
            return bool(answer.status == 200)
    except (URLError, ConnectionError, TimeoutError):
        return False
