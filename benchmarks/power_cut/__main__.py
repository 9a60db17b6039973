"""Command line of the power cut: a table for docs/, exit code 1 when a safe setting loses."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from benchmarks.power_cut.cases import CASES, Case
from benchmarks.power_cut.cut import Loss, cut_in_the_middle
from benchmarks.power_cut.replay import Replay, cut_behind_the_relay
from tests.faults.disks import FaultImpossibleError

_HEAD = "| server | setting | acknowledged | lost |\n|---|---|---:|---:|"


@click.command()
@click.option(
    "--server", "servers", multiple=True, type=click.Choice(sorted({c.server for c in CASES}))
)
@click.option("--seconds", default=5.0, show_default=True, help="How long each writes before.")
def main(servers: tuple[str, ...], seconds: float) -> None:
    """Cut the power of each server (default: all) under each durability setting."""
    try:
        sound = _run(servers, seconds)
    except FaultImpossibleError as error:
        sys.exit(f"the power cannot be cut here: {error}")
    sys.exit(0 if sound else 1)


def _run(servers: tuple[str, ...], seconds: float) -> bool:
    sound = True
    print(_HEAD)
    for case in CASES:
        if not servers or case.server in servers:
            with _directory() as directory:
                loss = cut_in_the_middle(case, directory, seconds)
            print(_row(case, loss), flush=True)
            sound &= not (case.safe and loss.lost)
    if not servers or "redis" in servers:
        with _directory() as directory:
            replay = cut_behind_the_relay(directory, seconds)
        print(_told(replay))
        sound &= not replay.lost_in_the_end
    return sound


def _row(case: Case, loss: Loss) -> str:
    setting = f"**{case.setting}** (safe)" if case.safe else case.setting
    return f"| {case.server} | {setting} | {loss.acknowledged:,} | {loss.lost:,} |"


def _told(replay: Replay) -> str:
    return (
        f"\nredis, appendfsync everysec, behind worker-sync: of {replay.relayed:,} jobs relayed "
        f"{replay.lost_by_redis:,} were lost in the cut, and {replay.lost_in_the_end:,} still were "
        "after the replay window of the outbox had been published again"
    )


@contextmanager
def _directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="power-cut-") as name:
        directory = Path(name)
        directory.chmod(0o711)  # servers that refuse root get through as another user
        yield directory


if __name__ == "__main__":
    main()
