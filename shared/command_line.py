"""What the commands of the suite have in common: options, errors and printing."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click
import msgspec

from shared.config import load
from shared.errors import WorkerSuiteError
from shared.extras import absent

S = TypeVar("S", bound=msgspec.Struct)
Command = TypeVar("Command", bound=Callable[..., Any])

config_option = click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="TOML file with settings; environment and flags win over it.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")


class Commands(click.Group):
    """Turns the suite's own errors into one line, after the group's name, and their exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except ModuleNotFoundError as error:
            if (lack := absent(error)) is None:
                raise
            self._end(ctx, lack)
        except WorkerSuiteError as error:
            self._end(ctx, error)

    def _end(self, ctx: click.Context, error: WorkerSuiteError) -> NoReturn:
        click.echo(f"{self.name}: {error}", err=True)
        ctx.exit(error.exit_code)


def run_options(*, workers: str, metrics_port: int) -> Callable[[Command], Command]:
    """Return a decorator that adds the options of every worker's `run`.

    `workers` says what --workers counts for this worker, `metrics_port` what its port is by
    default.
    """
    options = [
        config_option,
        click.option("--processes", type=int, help="How many processes to fork [default: 1]."),
        click.option("--workers", type=int, help=workers),
        click.option(
            "--metrics-port",
            type=int,
            help=f"Port of /metrics and /health [default: {metrics_port}].",
        ),
        click.option(
            "--log-format", type=click.Choice(["auto", "json", "console"]), help="Log format."
        ),
    ]

    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def settings_from(
    settings_type: type[S], config: Path | None, flags: Mapping[str, Any] | None = None
) -> S:
    """Load a worker's settings from flags, this process's environment, and a file."""
    return load(settings_type, flags=flags or {}, environ=os.environ, file=config).settings


def show(as_json: bool, value: Any, lines: Iterable[str]) -> None:
    """Print a result: `value` as JSON for programs, or `lines` for people."""
    if as_json:
        click.echo(msgspec.json.encode(value))
    else:
        for line in lines:
            click.echo(line)
