"""Serve the example site on loopback: python -m examples.recipes.site --port 8460."""

from __future__ import annotations

from pathlib import Path

import click
from aiohttp import web

from .server import application

DATA = Path(__file__).parent / "data"


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8460, show_default=True, help="Port to listen on.")
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=DATA,
    help="Directory with site.yaml and recipes/; edit it while the site runs.",
)
def main(host: str, port: int, data: Path) -> None:
    """Serve the recipes until Ctrl-C."""
    web.run_app(application(data), host=host, port=port, access_log=None)


if __name__ == "__main__":
    main()
