"""Looks again and again, and shows it: live on a terminal, line by line elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import click
import msgspec
from rich.live import Live

from workers.screen import screen
from workers.top.display import shown
from workers.top.looking import Looker


async def watch(
    workers: Sequence[str], queues: Sequence[str], interval: float, *, once: bool, as_json: bool
) -> None:
    """Show a look every `interval` seconds; return after the first when asked for one."""
    looker = Looker(workers, queues)
    console = screen()
    await looker.look()  # the counters that the first rates start from
    if as_json or once or not console.is_terminal:
        while True:
            await asyncio.sleep(interval)
            look = await looker.look()
            if as_json:
                click.echo(msgspec.json.encode(look))
            else:
                console.print(shown(look))
            if once:
                return
    with Live(console=console, auto_refresh=False, screen=True) as live:
        while True:
            await asyncio.sleep(interval)
            live.update(shown(await looker.look()), refresh=True)
