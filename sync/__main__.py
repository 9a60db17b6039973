"""The command line of worker-sync."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from shared.config import load
from shared.errors import WorkerSuiteError
from sync.settings import SyncSettings

if TYPE_CHECKING:
    from sync.commands import Status

EXIT_CODES = """
\b
Exit codes
  0  done                          2  a setting, flag, file or source is wrong
  1  failed                        3  a server cannot be used
"""


class Commands(click.Group):
    """Turns the suite's own errors into one line and their exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except WorkerSuiteError as error:
            click.echo(f"worker-sync: {error}", err=True)
            ctx.exit(error.exit_code)


@click.group(cls=Commands, epilog=EXIT_CODES)
@click.version_option(package_name="worker-suite")
def main() -> None:
    """Turn changes in Postgres into jobs for the search index.

    Settings come from flags, the environment and --config, in this order: DATABASE_URL,
    REDIS_URL, QUEUE_KEY and more; `workers config` lists them all. Your own tables become
    sources by `worker-sync install FILE`; docs/sources.md shows how.
    """


config_option = click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="TOML file with settings; environment and flags win over it.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")


@main.command()
@config_option
@click.option("--processes", type=int, help="How many processes to fork [default: 1].")
@click.option("--workers", type=int, help="Accepted like in the other workers; a relay needs one.")
@click.option("--metrics-port", type=int, help="Port of /metrics and /health [default: 9103].")
@click.option("--log-format", type=click.Choice(["auto", "json", "console"]), help="Log format.")
def run(config: Path | None, **flags: Any) -> None:
    """Publish changes to the index queue until told to stop.

    Several may run at once. SIGTERM or Ctrl-C: finish the batch that has begun; a second one
    ends at once, and the changes of that batch are published again by the next start.
    """
    from sync import bootstrap

    sys.exit(bootstrap.run(_settings(config, flags)))


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

    settings = _settings(config)
    if dry_run:
        statements = asyncio.run(commands.plan(settings, files))
        _print(as_json, statements, (f"{statement};\n" for statement in statements))
        return
    installed = asyncio.run(commands.install(settings, files))
    lines = (f"{each.source}: installed, {each.backfilled} rows to index." for each in installed)
    _print(as_json, installed, lines)


@main.command()
@config_option
@json_option
@click.argument("names", nargs=-1, required=True, metavar="NAME…")
def uninstall(config: Path | None, as_json: bool, names: tuple[str, ...]) -> None:
    """Remove the triggers of sources. Tables, and what is indexed already, stay as they are."""
    from sync import commands

    asyncio.run(commands.uninstall(_settings(config), names))
    _print(as_json, {"uninstalled": names}, (f"{name}: uninstalled." for name in names))


@main.command()
@config_option
@json_option
def status(config: Path | None, as_json: bool) -> None:
    """Show how many changes wait, for how long, and which sources are installed."""
    from sync import commands

    report = asyncio.run(commands.status(_settings(config)))
    _print(as_json, report, _status_lines(report))


def _status_lines(report: Status) -> Iterator[str]:
    waits = f", the oldest for {report.oldest_age_seconds:.1f} s" if report.outbox_depth else ""
    yield f"Changes waiting: {report.outbox_depth}{waits}"
    ago = report.last_relay_seconds_ago
    yield f"Last relay: {'none lately' if ago is None else f'{ago:.0f} s ago'}"
    yield "Sources: documents (built in)"
    for source in report.sources:
        note = "" if source.backfilled else " — not backfilled: install it again"
        yield f"  {source.source} from {', '.join(source.tables)}{note}"


def _settings(config: Path | None, flags: dict[str, Any] | None = None) -> SyncSettings:
    return load(SyncSettings, flags=flags or {}, environ=os.environ, file=config).settings


def _print(as_json: bool, value: Any, lines: Iterable[str]) -> None:
    if as_json:
        click.echo(msgspec.json.encode(value))
    else:
        for line in lines:
            click.echo(line)


if __name__ == "__main__":
    main()
