"""python -m crawler.hostile_web --port 8666"""

from __future__ import annotations

import asyncio
import json

import click

from crawler.hostile_web.server import BEHAVIOURS, HostileWeb


@click.command()
@click.option("--port", default=8666, show_default=True, help="Port on 127.0.0.1; 0 picks one.")
@click.option("--list", "only_list", is_flag=True, help="List the behaviours and end.")
@click.option("--json", "as_json", is_flag=True, help="List them as JSON.")
def main(port: int, only_list: bool, as_json: bool) -> None:
    """Serve pages that misbehave, on loopback, to try a crawler or a domain pack on.

    The path says how: /gzip_bomb, /nested_markup ... The front page lists them all.
    """
    if as_json:
        rows = [
            {"path": f"/{each.name}", "does": each.does, "expected": each.expected}
            for each in BEHAVIOURS.values()
        ]
        click.echo(json.dumps(rows, indent=2))
    elif only_list:
        for each in BEHAVIOURS.values():
            click.echo(f"/{each.name:32} {each.does} Expected: {', '.join(each.expected)}")
    else:
        try:
            asyncio.run(_serve(port))
        except OSError as error:
            raise click.ClickException(f"cannot listen on port {port}: {error.strerror}") from error
        except KeyboardInterrupt:
            return


async def _serve(port: int) -> None:
    async with HostileWeb(port) as web:
        click.echo(f"Misbehaving on {web.origin} until Ctrl-C.")
        await asyncio.Event().wait()


if __name__ == "__main__":
    main()
