"""Command line of the ledger: one line `LEDGER {...}` a broker, exit code 1 when one lost a job."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import tempfile
from pathlib import Path

import click

from benchmarks.ledger.account import UNEXPLAINED
from benchmarks.ledger.campaign import Campaign, Report, StalledError
from benchmarks.ledger.servers import BROKERS


@click.command()
@click.option("--broker", "brokers", multiple=True, type=click.Choice(list(BROKERS)))
@click.option("--jobs", default=1_000_000, show_default=True, help="Jobs to execute, at least.")
@click.option("--kills", default=50, show_default=True, help="SIGKILLs of workers at work.")
def main(brokers: tuple[str, ...], jobs: int, kills: int) -> None:
    """Publish, work and kill until both numbers are reached, on each broker (default: all)."""
    sound = [_run(broker, jobs, kills) for broker in brokers or BROKERS]
    sys.exit(0 if all(sound) else 1)


def _run(broker: str, jobs: int, kills: int) -> bool:
    directory = Path(tempfile.mkdtemp(prefix=f"ledger-{broker}-"))
    directory.chmod(0o711)  # servers that refuse root get through as another user
    try:
        report = asyncio.run(Campaign(BROKERS[broker], directory, jobs, kills).run())
    except StalledError as error:
        print(f"{broker}: {error}; what there is lies in {directory}", file=sys.stderr)
        return False
    print(f"LEDGER {json.dumps(line_of(broker, report))}", flush=True)
    found = report.account
    if found.lost or UNEXPLAINED in {*found.duplicates_by_cause, *found.dead_letters_by_cause}:
        print(f"{broker}: the books lie in {directory}", file=sys.stderr)
        return False
    shutil.rmtree(directory)
    return True


def line_of(broker: str, report: Report) -> dict[str, object]:
    """Return the fields of a LEDGER line."""
    found = report.account
    return {
        "broker": broker,
        "published": found.published,
        "acknowledged": found.acknowledged,
        "executed": found.executed,
        "dead_lettered": found.dead_lettered,
        "lost": found.lost,
        "duplicates": found.duplicates,
        "stale_settlements_refused": found.stale_settlements_refused,
        "kills": report.faults["kill"],
        "server_restarts": report.faults["restart"],
        "cut_connections": report.faults["cut"],
        "pauses_past_the_lease": report.faults["pause"],
        "duplicates_by_cause": found.duplicates_by_cause,
        "dead_letters_by_cause": found.dead_letters_by_cause,
        "death_reasons": report.death_reasons,
        "seconds": round(report.seconds, 1),
    }


if __name__ == "__main__":
    main()
