"""Producers and workers of other languages on the list that is our inbox.

The Go and Node programs are those of the benchmark: go-redis and ioredis, as an application has
them, and a worker with BRPOP and a buffered channel.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
from msgspec.structs import replace

from benchmarks.queue.ledger import Ledger
from benchmarks.queue.peers import Peer, go_worker, ours, ours_from_go, ours_from_node
from benchmarks.queue.run import Bench, Load
from benchmarks.queue.toolchain import ROOT
from tests.acceptance.worker_process import until
from tests.services.missing import missing
from tests.services.servers import Redis

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

QUEUE = "indexer:jobs"
PUSHED = 10_000
SHARED, MIXED = 6_000, 2_000
SLOTS, SLEEP_MS = 10, 20
FAIR_SHARE = 0.2


@pytest.fixture(autouse=True)
def _tools() -> None:
    """Go and Node build the other side."""
    for program, what in {"go": "Go 1.26 or later", "npm": "Node.js 20 or later with npm"}.items():
        if shutil.which(program) is None:
            missing(program, f"install {what}")


@pytest.fixture
def bench(redis7_server: Redis, tmp_path: Path) -> Callable[[Peer, Load], Bench]:
    """Set a peer up on the private Redis."""

    def make(peer: Peer, load: Load) -> Bench:
        peer.build()
        directory = tmp_path / f"log of {peer.name}"
        directory.mkdir(exist_ok=True)
        return Bench(peer, load, redis7_server, directory, QUEUE)  # type: ignore[arg-type]

    return make


@pytest.fixture
def client(redis7_server: Redis) -> Iterator[Any]:
    """A look at what lies where."""
    with redis.Redis.from_url(redis7_server.url) as made:
        yield made


def left_behind(client: Any) -> dict[str, int]:
    """Return what still lies in the keys of the queue."""
    kept = f"{{{QUEUE}}}:"
    sizes = {
        **{name: client.llen(f"{kept}{name}") for name in ("intake", "suspects")},
        **{name: client.llen(f"{kept}ready:{name}") for name in range(3)},
        **{name: client.zcard(f"{kept}{name}") for name in ("leases", "delayed", "dead")},
        "inbox": client.llen(QUEUE),
        "jobs": client.hlen(f"{kept}jobs"),
    }
    return {str(name): size for name, size in sizes.items() if size}


@pytest.mark.parametrize("peer", [ours_from_go, ours_from_node], ids=["go-redis", "ioredis"])
def test_what_a_producer_of_another_language_pushes_is_worked_off(
    peer: Peer, bench: Callable[[Peer, Load], Bench], client: Any, tmp_path: Path
) -> None:
    """10,000 jobs, pushed before and while the worker runs: each is executed, nothing is left."""
    run = bench(peer, Load(jobs=PUSHED))
    ledger = Ledger(tmp_path / "ledger", PUSHED)
    with run.start(ledger) as worker:
        run.publish(ledger)
        ledger.wait_for(PUSHED, worker.alive)
        worker.stop()
    assert left_behind(client) == {}


def test_a_fleet_of_both_kinds_shares_a_list_and_leaves_nothing_when_ours_go(
    bench: Callable[[Peer, Load], Bench],
    client: Any,
    tmp_path: Path,
    report: Callable[[str, dict[str, Any]], None],
) -> None:
    """Half Go worker, half ours, one producer that does not stop; then the Go worker alone."""
    load = Load(jobs=SHARED, sleep_ms=SLEEP_MS)
    theirs, mine, sent = (Ledger(tmp_path / name, SHARED) for name in ("theirs", "ours", "sent"))
    go, own = (bench(replace(peer, slots=SLOTS), load) for peer in (go_worker, ours))
    with go.start(theirs) as go_worker_process, producing(go, sent):
        with own.start(mine) as worker:
            until("ours works", lambda: executed(mine), 60)
            before = executed(theirs), executed(mine)
            until("both have worked", lambda: total(theirs, mine) - sum(before) > MIXED, 60)
            shares = executed(theirs) - before[0], executed(mine) - before[1]
            worker.stop()
            assert worker.exit_codes() == [0], worker.log()
        report("mixed fleet", {"go": shares[0], "ours": shares[1]})
        assert min(shares) >= FAIR_SHARE * sum(shares)
        until("all is worked off", lambda: not missing_ends(theirs, mine), 60)
        go_worker_process.stop()
    assert left_behind(client) == {}
    assert total(theirs, mine) == SHARED, "a clean stop makes no job run twice"


def executed(ledger: Ledger) -> int:
    return len(ledger.starts())


def total(*ledgers: Ledger) -> int:
    return sum(map(executed, ledgers))


def missing_ends(*ledgers: Ledger) -> int:
    """Return how many jobs ended in none of the ledgers."""
    return sum(not any(each.ended(n) for each in ledgers) for n in range(ledgers[0].count))


@contextmanager
def producing(run: Bench, sent: Ledger) -> Iterator[None]:
    """Push one job a millisecond, to the end."""
    environment = run.environment(sent, EVERY_MS=1)
    producer = subprocess.Popen(run.peer.publish, env=environment)
    try:
        yield
        assert producer.wait(60) == 0
    finally:
        producer.kill()
        producer.wait()


def test_the_benchmark_beside_the_go_worker_runs() -> None:
    """A smoke run; its figures mean nothing."""
    command = [sys.executable, "-m", "benchmarks.queue", "--quick", "--peers", "ours,go-worker"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    name, _, figures = done.stdout.splitlines()[-1].partition(" ")
    result = json.loads(figures)
    assert name == "RESULT"
    unmeasured = {name for name, value in result.items() if value is None}
    assert unmeasured == {"ratio_best_python_peer", "ratio_river", "ratio_bullmq"}
    assert all(value > 0 for name, value in result.items() if name not in unmeasured)
