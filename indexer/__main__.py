"""The command line of worker-indexer."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import click

from indexer.settings import IndexerSettings
from indexer.verify import EXIT_CODE_DIFFERENT
from shared.command_line import (
    Commands,
    config_option,
    json_option,
    run_options,
    settings_from,
    show,
)

EXIT_CODES = """
\b
Exit codes
  0  done                          3  a server cannot be used
  1  failed                        4  another kind of worker on this queue
  2  a setting or flag is wrong    5  Postgres and the index differ
"""


@click.group("worker-indexer", cls=Commands, epilog=EXIT_CODES)
@click.version_option(package_name="worker-suite")
def main() -> None:
    """Keep a search index in step with Postgres.

    Settings come from flags, the environment and --config, in this order: DATABASE_URL,
    REDIS_URL, ELASTICSEARCH_URL (without it the embedded index in TANTIVY_DIR is used),
    QUEUE_KEY, INDEX_NAME and more; `workers config` lists them all.
    """


lag_option = click.option(
    "--lag-seconds", type=click.FloatRange(0, 3600), default=10.0, show_default=True,
    help="How long counts may differ while the index catches up.",
)  # fmt: skip


@main.command()
@run_options(workers="How many batches a process works on [default: 10].", metrics_port=9102)
def run(config: Path | None, **flags: Any) -> None:
    """Take index_document and delete_document jobs until told to stop.

    SIGTERM or Ctrl-C: finish what has begun, within GRACE_SECONDS; a second one ends at once.
    """
    from indexer import bootstrap

    sys.exit(bootstrap.run(settings_from(IndexerSettings, config, flags)))


@main.command()
@config_option
@json_option
@lag_option
@click.option(
    "--keep-old/--drop-old", default=True, show_default=True,
    help="Keep the old generation up to date for --rollback, or drop it after the swap.",
)  # fmt: skip
@click.option("--rollback", is_flag=True, help="Search the generation before again; builds none.")
def reindex(
    config: Path | None, as_json: bool, lag_seconds: float, keep_old: bool, rollback: bool
) -> None:
    """Build the index anew from Postgres, beside the live one, while writes go on.

    The new generation is searched only when it took every document and its counts agree with
    Postgres; otherwise the exit code is 5 and the old one stays.
    """
    from indexer import commands, printing

    settings = settings_from(IndexerSettings, config)
    if rollback:
        number = asyncio.run(commands.rollback(settings))
        show(as_json, {"live": number}, [f"Generation {number} is searched again."])
        return
    with _Progress(hidden=as_json) as progress:
        report = asyncio.run(
            commands.reindex(
                settings,
                keep_old=keep_old,
                lag_seconds=lag_seconds,
                on_start=progress.start,
                on_progress=progress.advance,
            )
        )
    show(as_json, report, printing.reindex_lines(report))
    sys.exit(0 if report.swapped else EXIT_CODE_DIFFERENT)


@main.command()
@config_option
@click.argument("number", type=click.IntRange(min=1))
def drop(config: Path | None, number: int) -> None:
    """Delete a generation that is not searched."""
    from indexer import commands

    asyncio.run(commands.drop(settings_from(IndexerSettings, config), number))
    click.echo(f"Generation {number} is gone.")


@main.command()
@config_option
@json_option
@lag_option
def verify(config: Path | None, as_json: bool, lag_seconds: float) -> None:
    """Compare how many documents of each source are in Postgres and in the index.

    Exit code 5 when they differ.
    """
    from indexer import commands, printing

    report = asyncio.run(
        commands.verify(settings_from(IndexerSettings, config), lag_seconds=lag_seconds)
    )
    shown = {"agree": report.agree, "sources": report.sources}
    show(as_json, shown, printing.verify_lines(report))
    sys.exit(0 if report.agree else EXIT_CODE_DIFFERENT)


@main.command()
@config_option
@json_option
@click.argument("text", nargs=-1, required=True)
@click.option("--source", default="", help="Only documents of this source.")
@click.option("--limit", type=click.IntRange(1, 1000), default=10, show_default=True)
@click.option("--offset", type=click.IntRange(0, 9000), default=0, show_default=True)
def search(
    config: Path | None, as_json: bool, text: tuple[str, ...], source: str, limit: int, offset: int
) -> None:
    """Search the index. Words in "double quotes" must stand together."""
    from indexer import commands, printing
    from indexer.search.port import SearchQuery

    query = SearchQuery(text=" ".join(text), source=source, limit=limit, offset=offset)
    result = asyncio.run(commands.search(settings_from(IndexerSettings, config), query))
    show(as_json, result, printing.search_lines(result))


@main.command()
@config_option
@json_option
def status(config: Path | None, as_json: bool) -> None:
    """Show the generations of the index, and how much waits in the queue."""
    from indexer import commands, printing

    report = asyncio.run(commands.status(settings_from(IndexerSettings, config)))
    show(as_json, report, printing.status_lines(report))


class _Progress:
    """A bar on a terminal; nothing elsewhere."""

    def __init__(self, *, hidden: bool) -> None:
        self._hidden = hidden or not sys.stderr.isatty()
        self._bar: Any = None

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.__exit__(None, None, None)

    def start(self, documents: int) -> None:
        """Show the bar."""
        if not self._hidden:
            self._bar = click.progressbar(
                length=documents, label="Documents", file=sys.stderr, show_pos=True
            )
            self._bar.__enter__()

    def advance(self, documents: int) -> None:
        """Count documents that are done."""
        if self._bar is not None:
            self._bar.update(documents)


if __name__ == "__main__":
    main()
