"""The command line of worker-sync."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shared.command_line import (
    Commands,
    config_option,
    json_option,
    run_options,
    settings_from,
    show,
)
from sync.settings import SyncSettings

if TYPE_CHECKING:
    from sync.commands import Status

EXIT_CODES = """
\b
Exit codes
  0  done                          2  a setting, flag, file or source is wrong
  1  failed                        3  a server cannot be used
"""


@click.group("worker-sync", cls=Commands, epilog=EXIT_CODES)
@click.version_option(package_name="worker-suite")
def main() -> None:
    """Turn changes in Postgres into jobs for the search index.

    Settings come from flags, the environment and --config, in this order: DATABASE_URL,
    REDIS_URL, QUEUE_KEY and more; `workers config` lists them all. Your own tables become
    sources by `worker-sync install FILE`; docs/sources.md shows how.
    """


@main.command()
@run_options(workers="Accepted like in the other workers; a relay needs one.", metrics_port=9103)
def run(config: Path | None, **flags: Any) -> None:
    """Publish changes to the index queue until told to stop.

    Several may run at once. SIGTERM or Ctrl-C: finish the batch that has begun; a second one
    ends at once, and the changes of that batch are published again by the next start.
    """
    from sync import bootstrap

    sys.exit(bootstrap.run(settings_from(SyncSettings, config, flags)))


@main.command()
@config_option
@json_option
@click.option("--dry-run", is_flag=True, help="Check the files, print the SQL, change nothing.")
@click.argument(
    "files",
    nargs=-1,
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE…",
)
def install(config: Path | None, as_json: bool, dry_run: bool, files: tuple[Path, ...]) -> None:
    """Make your own tables sources of documents, as the YAML FILEs say.

    Creates triggers that note changed keys, and notes every key that is there already. May be
    repeated. Waits two seconds at most for a table's lock, gives way to your writers, tries again.
    """
    from sync import commands

    settings = settings_from(SyncSettings, config)
    if dry_run:
        statements = asyncio.run(commands.plan(settings, files))
        show(as_json, statements, (f"{statement};\n" for statement in statements))
        return
    installed = asyncio.run(commands.install(settings, files))
    lines = (f"{each.source}: installed, {each.backfilled} rows to index." for each in installed)
    show(as_json, installed, lines)


@main.command()
@config_option
@json_option
@click.argument("names", nargs=-1, required=True, metavar="NAME…")
def uninstall(config: Path | None, as_json: bool, names: tuple[str, ...]) -> None:
    """Remove the triggers of sources. Tables, and what is indexed already, stay as they are."""
    from sync import commands

    asyncio.run(commands.uninstall(settings_from(SyncSettings, config), names))
    show(as_json, {"uninstalled": names}, (f"{name}: uninstalled." for name in names))


@main.command()
@config_option
@json_option
def status(config: Path | None, as_json: bool) -> None:
    """Show how many changes wait, for how long, and which sources are installed."""
    from sync import commands

    report = asyncio.run(commands.status(settings_from(SyncSettings, config)))
    show(as_json, report, _status_lines(report))


def _status_lines(report: Status) -> Iterator[str]:
    waits = f", the oldest for {report.oldest_age_seconds:.1f} s" if report.outbox_depth else ""
    yield f"Changes waiting: {report.outbox_depth}{waits}"
    ago = report.last_relay_seconds_ago
    yield f"Last relay: {'none lately' if ago is None else f'{ago:.0f} s ago'}"
    yield "Sources: documents (built in)"
    for source in report.sources:
        note = "" if source.backfilled else " — not backfilled: install it again"
        yield f"  {source.source} from {', '.join(source.tables)}{note}"


if __name__ == "__main__":
    main()
