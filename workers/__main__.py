"""The command line of the whole suite."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import click

from shared.command_line import Commands, config_option, json_option
from shared.config import Loaded, load
from workers.queue import queue
from workers.settings import SuiteSettings
from workers.top import top

EXIT_CODES = """
\b
Exit codes
  0  done                          3  a server cannot be used
  1  failed                        4  another kind of worker on this queue
  2  a setting or flag is wrong
"""

COMMANDS = ("workers", "worker-crawler", "worker-indexer", "worker-sync")


@click.group("workers", cls=Commands, epilog=EXIT_CODES)
@click.version_option(package_name="worker-suite")
def main() -> None:
    """Crawl, index and sync: the three workers together.

    Start with `workers demo`. For a single worker see worker-crawler, worker-indexer and
    worker-sync.
    """


data_option = click.option(
    "--data-dir", help="Directory of embedded servers, index and logs [default: ./var]."
)


@main.command()
@config_option
@data_option
@click.option("--crawler-port", type=int, help="Metrics port of worker-crawler [default: 9101].")
@click.option("--indexer-port", type=int, help="Metrics port of worker-indexer [default: 9102].")
@click.option("--sync-port", type=int, help="Metrics port of worker-sync [default: 9103].")
def up(config: Path | None, **flags: Any) -> None:
    """Run everything in the foreground until Ctrl-C.

    Starts Postgres and Valkey from wheels and uses the embedded Tantivy index, except where
    DATABASE_URL, REDIS_URL or ELASTICSEARCH_URL name servers of your own; then runs the three
    workers as processes and starts one again when it ends.
    """
    from workers.screen import screen
    from workers.up import run

    run(_settings(flags, config).settings, screen())


@main.command()
@click.option("--url", help="Crawl this real site instead of the example, under its robots.txt.")
@click.option(
    "--pages", type=click.IntRange(1, 10_000), default=50, show_default=True,
    help="With --url: stop after so many pages.",
)  # fmt: skip
@click.option("--data-dir", help="Keep the data here [default: ./var/demo].")
@click.option(
    "--started-at", type=float,
    help="Seconds since the epoch at which installation began; counted in seconds_total.",
)  # fmt: skip
@click.option("--search", "search_text", help="What to search for.")
def demo(**options: Any) -> None:
    """Crawl a site, index it, search it, change it, and see the index follow.

    Without --url the site is the example in examples/recipes, served on loopback for the length
    of the demo. Everything else is real: embedded servers, three worker processes. The last line
    of the output is `DEMO {...}` for programs.
    """
    from workers.demo import run
    from workers.screen import screen

    run(screen(), **options)


@main.command()
@config_option
@data_option
@json_option
def doctor(config: Path | None, as_json: bool, **flags: Any) -> None:
    """Check each dependency: is it there, is it new enough, would it lose data, what to do.

    Exit code 0 when nothing is wrong (warnings allowed), 3 when a dependency cannot be used.
    """
    from workers import doctor as office
    from workers.screen import screen

    checkups = asyncio.run(office.examine(_settings(flags, config).settings))
    if as_json:
        click.echo(office.as_json(checkups))
    else:
        office.show(screen(), checkups)
    sys.exit(office.exit_code(checkups))


@main.command("config")
@click.argument("command", required=False, type=click.Choice(COMMANDS))
@config_option
@json_option
def show_config(command: str | None, config: Path | None, as_json: bool) -> None:
    """Show the settings of a COMMAND (or of all): value, and where it came from.

    Secrets are hidden. With --config name the command that the file is for.
    """
    from workers import config_listing
    from workers.screen import screen

    if config is not None and command is None:
        raise click.UsageError("--config needs a COMMAND: a file holds the settings of one")
    commands = COMMANDS if command is None else (command,)
    listing = config_listing.collect(commands, os.environ, config)
    if as_json:
        click.echo(config_listing.as_json(listing))
    else:
        config_listing.show(screen(), listing)


main.add_command(queue)
main.add_command(top)


def _settings(flags: dict[str, Any], config: Path | None) -> Loaded[SuiteSettings]:
    return load(SuiteSettings, flags=flags, environ=os.environ, file=config)


if __name__ == "__main__":
    main()
