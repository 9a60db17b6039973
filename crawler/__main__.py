"""The command line of worker-crawler."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import click

from crawler.settings import CrawlerSettings
from shared.command_line import (
    Commands,
    config_option,
    json_option,
    run_options,
    settings_from,
    show,
)

EXIT_CODE_REFUSED = 6
EXIT_CODES = """
\b
Exit codes
  0  done                          3  a server cannot be used
  1  failed                        4  another kind of worker on this queue
  2  a setting or flag is wrong    6  some URLs were refused (all others were taken)
"""


@click.group("worker-crawler", cls=Commands, epilog=EXIT_CODES)
@click.version_option(package_name="worker-suite")
def main() -> None:
    """Crawl chosen domains politely into Postgres.

    Settings come from flags, the environment and --config, in this order: DATABASE_URL,
    REDIS_URL, DOMAIN_PACKS (a directory), SEED_SCOPE, ALLOW_NETWORKS, USER_AGENT and more;
    `workers config` lists them all.
    """


@main.command()
@run_options(workers="How many URLs a process works on [default: 10].", metrics_port=9101)
def run(config: Path | None, **flags: Any) -> None:
    """Crawl what is due until told to stop, and take seeds from Redis.

    A seed is a message that is nothing but a URL: redis-cli LPUSH crawler:seeds URL

    SIGTERM or Ctrl-C: finish what has begun, within GRACE_SECONDS; a second one ends at once.
    """
    from crawler import bootstrap

    sys.exit(bootstrap.run(settings_from(CrawlerSettings, config, flags)))


@main.command()
@config_option
@json_option
@click.argument("url", nargs=-1)
@click.option(
    "--file", "files", multiple=True, type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File with one URL a line; # begins a comment.",
)  # fmt: skip
@click.option("--sitemap", "sitemaps", multiple=True, help="Sitemap whose pages are crawled.")
@click.option("--pack", "packs", multiple=True, help="Domain pack whose seeds are taken.")
def seed(
    config: Path | None,
    as_json: bool,
    url: tuple[str, ...],
    files: tuple[Path, ...],
    sitemaps: tuple[str, ...],
    packs: tuple[str, ...],
) -> None:
    """Add URLs to begin with.

    A URL that is refused is named with its line and the reason on stderr; all others are taken,
    and the exit code is 6.
    """
    from crawler import commands, printing

    if not (url or files or sitemaps or packs):
        raise click.UsageError("give URLs, --file, --sitemap or --pack")
    pages = commands.from_arguments(url)
    for file in files:
        pages += commands.from_file(file)
    named = commands.from_arguments(sitemaps)
    report = asyncio.run(commands.seed(settings_from(CrawlerSettings, config), pages, named, packs))
    show(as_json, report, printing.seed_lines(report))
    _say_refused(report.refused)


@main.command()
@config_option
@json_option
@click.argument("url", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All pages that were ever visited.")
def recrawl(config: Path | None, as_json: bool, url: tuple[str, ...], everything: bool) -> None:
    """Make pages due now; the delays of their hosts hold."""
    from crawler import commands, printing

    if bool(url) is everything:
        raise click.UsageError("give URLs, or --all")
    urls = None if everything else commands.from_arguments(url)
    report = asyncio.run(commands.recrawl(settings_from(CrawlerSettings, config), urls))
    show(as_json, report, printing.recrawl_lines(report))
    _say_refused(report.refused)


@main.command()
@config_option
@json_option
@click.argument("url")
def check(config: Path | None, as_json: bool, url: str) -> None:
    """Walk through every decision about a URL, from its address to its document.

    Asks for robots.txt and the page, the pack's delay apart, and stores nothing. Exit code 6
    when the page would not be stored.
    """
    from crawler import printing
    from crawler.bootstrap import HELPERS
    from crawler.check_command import check as walk
    from shared.supervisor.fork_server import ForkServer

    settings = settings_from(CrawlerSettings, config)
    forks = ForkServer.start(preload=HELPERS)
    steps = asyncio.run(walk(settings, url, forks))
    show(as_json, steps, printing.check_lines(steps))
    sys.exit(0 if all(step.passed is not False for step in steps) else EXIT_CODE_REFUSED)


@main.command()
@config_option
@json_option
def status(config: Path | None, as_json: bool) -> None:
    """Show where the pages stand and why, and what is due."""
    from crawler import commands, printing

    report = asyncio.run(commands.status(settings_from(CrawlerSettings, config)))
    show(as_json, report, printing.status_lines(report))


def _say_refused(refused: Any) -> None:
    from crawler import printing

    for line in printing.refused_lines(refused):
        click.echo(line, err=True)
    if refused:
        sys.exit(EXIT_CODE_REFUSED)


if __name__ == "__main__":
    main()
