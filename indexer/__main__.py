"""The command line of worker-indexer."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
import msgspec

from indexer.settings import IndexerSettings
from indexer.verify import EXIT_CODE_DIFFERENT
from shared.config import load
from shared.errors import WorkerSuiteError

EXIT_CODES = """
\b
Exit codes
  0  done                          3  a server cannot be used
  1  failed                        4  another kind of worker on this queue
  2  a setting or flag is wrong    5  Postgres and the index differ
"""


class Commands(click.Group):
    """Turns the suite's own errors into one line and their exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except WorkerSuiteError as error:
            click.echo(f"worker-indexer: {error}", err=True)
            ctx.exit(error.exit_code)


@click.group(cls=Commands, epilog=EXIT_CODES)
@click.version_option(package_name="worker-suite")
def main() -> None:
    """Keep a search index in step with Postgres.

    Settings come from flags, the environment and --config, in this order: DATABASE_URL,
    REDIS_URL, ELASTICSEARCH_URL (without it the embedded index in TANTIVY_DIR is used),
    QUEUE_KEY, INDEX_NAME and more; `workers config` lists them all.
    """


config_option = click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="TOML file with settings; environment and flags win over it.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
lag_option = click.option(
    "--lag-seconds", type=click.FloatRange(0, 3600), default=10.0, show_default=True,
    help="How long counts may differ while the index catches up.",
)  # fmt: skip


@main.command()
@config_option
@click.option("--processes", type=int, help="How many processes to fork [default: 1].")
@click.option("--workers", type=int, help="How many batches a process works on [default: 10].")
@click.option("--metrics-port", type=int, help="Port of /metrics and /health [default: 9102].")
@click.option("--log-format", type=click.Choice(["auto", "json", "console"]), help="Log format.")
def run(config: Path | None, **flags: Any) -> None:
    """Take index_document and delete_document jobs until told to stop.

    SIGTERM or Ctrl-C: finish what has begun, within GRACE_SECONDS; a second one ends at once.
    """
    from indexer import bootstrap

    sys.exit(bootstrap.run(_settings(config, flags)))


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

    settings = _settings(config)
    if rollback:
        number = asyncio.run(commands.rollback(settings))
        _print(as_json, {"live": number}, [f"Generation {number} is searched again."])
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
    _print(as_json, report, printing.reindex_lines(report))
    sys.exit(0 if report.swapped else EXIT_CODE_DIFFERENT)


@main.command()
@config_option
@click.argument("number", type=click.IntRange(min=1))
def drop(config: Path | None, number: int) -> None:
    """Delete a generation that is not searched."""
    from indexer import commands

    asyncio.run(commands.drop(_settings(config), number))
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

    report = asyncio.run(commands.verify(_settings(config), lag_seconds=lag_seconds))
    shown = {"agree": report.agree, "sources": report.sources}
    _print(as_json, shown, printing.verify_lines(report))
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
    result = asyncio.run(commands.search(_settings(config), query))
    _print(as_json, result, printing.search_lines(result))


@main.command()
@config_option
@json_option
def status(config: Path | None, as_json: bool) -> None:
    """Show the generations of the index, and how much waits in the queue."""
    from indexer import commands, printing

    report = asyncio.run(commands.status(_settings(config)))
    _print(as_json, report, printing.status_lines(report))


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


def _settings(config: Path | None, flags: dict[str, Any] | None = None) -> IndexerSettings:
    loaded = load(IndexerSettings, flags=flags or {}, environ=os.environ, file=config)
    return loaded.settings


def _print(as_json: bool, value: Any, lines: Iterable[str]) -> None:
    if as_json:
        click.echo(msgspec.json.encode(value))
    else:
        for line in lines:
            click.echo(line)


if __name__ == "__main__":
    main()
