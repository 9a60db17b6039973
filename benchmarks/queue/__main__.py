"""`make bench-queue`: our worker, the Go worker and the peers, in turn, on the same machine.

Prints tables, then one line `RESULT {...}` for programs.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
from pathlib import Path

from benchmarks.queue import brokers, contest, real_workers, scenarios
from benchmarks.queue.peers import OURS, PEERS
from benchmarks.queue.servers import POSTGRES_OPTIONS, redis_version
from benchmarks.queue.stage import Stage
from benchmarks.queue.toolchain import HERE

RUNS = 5
FEATURE_RUNS = 3
BROKER_RUNS = 3
NAMES = tuple(dict.fromkeys(peer.name.partition(",")[0] for peer in PEERS))


def main() -> None:
    """Measure everything that was asked for."""
    options = _options()
    print(about(), flush=True)
    with Stage(quick=options.quick) as stage:
        rows = contest.contest(stage, options.peers, options.runs)
        fork_ms = scenarios.fork_ms(stage, options.runs)
        if not options.contest:
            scenarios.features(stage, 1 if options.quick else FEATURE_RUNS)
            scenarios.sleeping(stage, [OURS] if options.quick else options.peers)
        if not (options.quick or options.contest):
            _further_tables(stage, options)
    print(f"RESULT {json.dumps(contest.result(rows, fork_ms))}")


def _further_tables(stage: Stage, options: argparse.Namespace) -> None:
    scenarios.backlog(stage)
    scenarios.payloads(stage, options.peers)
    scenarios.processes(stage, options.peers)
    brokers.by_broker(stage, BROKER_RUNS)
    real_workers.start_up(stage, options.runs)


def about() -> str:
    """Say on what, with what versions and settings."""
    pinned = [
        line.split()[0]
        for path in sorted((HERE / "requirements").glob("*.txt"))
        for line in path.read_text().splitlines()
        if line.partition("==")[0] in (path.stem, "redis", "hiredis", "taskiq-redis")
    ]
    machine = (
        f"{os.cpu_count()} cores, {_processor()}, {platform.system()} {platform.release()}",
        f"Python {platform.python_version()}",
        _version("go", "version"),
        f"node {_version('node', '--version')}",
    )
    redis = f"{redis_version()}, appendonly yes, appendfsync everysec, rewritten between runs only"
    postgres = ", ".join(f"{name}={value}" for name, value in POSTGRES_OPTIONS.items())
    return "\n".join(
        (
            ", ".join(machine),
            redis,
            f"Postgres (river): {postgres}",
            f"Python peers: {', '.join(dict.fromkeys(pinned))}",
        )
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.queue", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="a smoke run: once, few jobs, few rows"
    )
    parser.add_argument("--contest", action="store_true", help="the main table and RESULT only")
    parser.add_argument("--runs", type=int, help=f"alternating runs, {RUNS} unless --quick")
    parser.add_argument(
        "--peers",
        type=_names,
        default=list(NAMES),
        help=f"comma-separated, of {', '.join(NAMES)}; ours and go-worker always run",
    )
    options = parser.parse_args()
    options.runs = options.runs or (1 if options.quick else RUNS)
    return options


def _names(text: str) -> list[str]:
    names = text.split(",")
    if unknown := sorted(set(names) - set(NAMES)):
        raise argparse.ArgumentTypeError(f"no such peer: {', '.join(unknown)}")
    return [name for name in NAMES if name in names or name in contest.ALWAYS]


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _version(*command: str) -> str:
    return subprocess.check_output(command, text=True).split(" linux")[0].strip()


if __name__ == "__main__":
    main()
