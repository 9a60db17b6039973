"""The command line of `workers top`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import click

from shared.command_line import json_option

WORKERS = ("http://127.0.0.1:9101", "http://127.0.0.1:9102", "http://127.0.0.1:9103")
QUEUES = ("crawler:seeds", "indexer:jobs")


def _http(_context: click.Context, _option: click.Parameter, urls: Sequence[str]) -> Sequence[str]:
    for url in urls:
        if not url.startswith(("http://", "https://")):
            raise click.BadParameter(f"{url!r} is no address: give http://host:port")
    return [url.rstrip("/") for url in urls]


@click.command()
@click.option(
    "--worker",
    "workers",
    metavar="URL",
    multiple=True,
    default=WORKERS,
    callback=_http,
    help="Metrics address of a worker; may be repeated [default: ports 9101 to 9103].",
)
@click.option(
    "--queue",
    "queues",
    metavar="NAME",
    multiple=True,
    default=QUEUES,
    help="Queue to show; may be repeated [default: crawler:seeds and indexer:jobs].",
)
@click.option("--interval", type=click.FloatRange(0.1), default=1.0, show_default=True)
@click.option("--once", is_flag=True, help="Look for one interval, print, and end.")
@json_option
def top(
    workers: Sequence[str], queues: Sequence[str], interval: float, once: bool, as_json: bool
) -> None:
    """Show rates, latencies, slots and queue depths, live, until Ctrl-C.

    Rates and latencies are those of the last interval; a latency is the upper bound of the
    histogram bucket it falls into. With --json one line an interval.
    """
    from workers.top.watching import watch

    try:
        asyncio.run(watch(workers, queues, interval, once=once, as_json=as_json))
    except KeyboardInterrupt:
        return
