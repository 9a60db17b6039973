"""No-op jobs on every broker: our exchange and our pool beside the broker's own client.

`python -m benchmarks.brokers [--quick] [--broker NAME ...] [--runs N]` starts each server itself.
The bare client is the best that Python has for its broker: frameworks such as faststream are built
on the same one (`python -m benchmarks.queue` measures those).
"""

from __future__ import annotations

import os
import platform
import statistics
import tempfile
from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import click
import msgspec
import uvloop

from benchmarks.brokers import ours
from benchmarks.brokers.contest import BATCH, PAYLOAD, Contest, Side

BROKERS = ("redis", "nats", "kafka", "rabbitmq", "postgres")
RUNS = 5
QUICK_JOBS = 1000


@click.command()
@click.option("--quick", is_flag=True, help=f"One run of {QUICK_JOBS} jobs: does it work?")
@click.option("--broker", "brokers", type=click.Choice(BROKERS), multiple=True, default=BROKERS)
@click.option("--runs", default=RUNS, show_default=True, help="Alternating runs of each side.")
def main(quick: bool, brokers: tuple[str, ...], runs: int) -> None:
    """Measure, and print a table and one line for programs."""
    _describe()
    found = {name: _measure(name, 1 if quick else runs, quick) for name in brokers}
    click.echo("BROKERS " + msgspec.json.encode(found).decode())


def _describe() -> None:
    click.echo(
        f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, "
        f"uvloop {version('uvloop')}; one process a side, batches of {BATCH}, "
        f"payload {len(PAYLOAD)} bytes; jobs are published before the clock starts"
    )


def _measure(name: str, runs: int, quick: bool) -> Mapping[str, float]:
    contest: Contest = import_module(f"benchmarks.brokers.{name}").CONTEST
    jobs = QUICK_JOBS if quick else contest.jobs
    sides: dict[str, Side] = {
        "exchange": ours.exchange,
        "pool": ours.pool,
        "bare": contest.bare,
        "ceiling": contest.ceiling,
    }
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    with tempfile.TemporaryDirectory(prefix=f"bench-{name}-") as directory:
        Path(directory).chmod(0o755)  # Postgres runs as another user
        server = contest.server(Path(directory))
        server.start()
        try:
            for _ in range(runs):
                for side, work in sides.items():
                    seconds[side].append(uvloop.run(work(server.url, jobs)))
        finally:
            server.kill()
    speeds = {side: round(jobs / statistics.median(each)) for side, each in seconds.items()}
    _show(name, contest, jobs, runs, speeds)
    return {**{f"{side}_per_s": speed for side, speed in speeds.items()}, **_ratios(speeds)}


def _ratios(speeds: Mapping[str, int]) -> Mapping[str, float]:
    return {
        "pool_to_bare": round(speeds["pool"] / speeds["bare"], 2),
        "exchange_to_bare": round(speeds["exchange"] / speeds["bare"], 2),
        "share_of_ceiling": round(speeds["exchange"] / speeds["ceiling"], 2),
    }


def _show(name: str, contest: Contest, jobs: int, runs: int, speeds: Mapping[str, int]) -> None:
    clients = ", ".join(f"{each} {version(each)}" for each in contest.versions)
    says = {
        "exchange": "worker-suite, exchange alone",
        "pool": f"worker-suite, whole pool, {BATCH} slots",
        "bare": contest.client,
        "ceiling": contest.ceiling_is,
    }
    click.echo(f"\n{name}: {contest.settings}; {clients}; {jobs:,} jobs, median of {runs}")
    for side, speed in speeds.items():
        click.echo(f"  {speed:>10,}/s  {side:<9} {says[side]}")
    for ratio, value in _ratios(speeds).items():
        click.echo(f"  {value:>10}    {ratio}")


if __name__ == "__main__":
    main()
