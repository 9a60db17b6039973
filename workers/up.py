"""`workers up`: everything in the foreground, for good."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from functools import partial
from typing import Any

from rich.console import Console

from workers.screen import nearby, table
from workers.servers import Place, Servers
from workers.settings import SuiteSettings
from workers.suite import Suite, worker_processes

START_SECONDS = 60.0
GRACE_SECONDS = 30.0
"""A little more than the workers' own GRACE_SECONDS, so that they end by themselves."""

NEXT = """
[bold]What to type next[/], in another terminal:
  source {file}
  SEED_SCOPE=host worker-crawler seed https://example.org/
  worker-crawler status
  worker-indexer search "words to find"
Ctrl-C stops everything; the data stays.
"""


def run(settings: SuiteSettings, console: Console) -> None:
    """Start servers and workers, say what runs where, and stop everything on Ctrl-C or SIGTERM.

    Raises DependencyError when something cannot start, ConfigError or QueueConflictError when a
    worker ends for a reason that starting it again cannot mend.
    """
    servers = Servers(settings)
    try:
        servers.start()
        asyncio.run(_workers(settings, servers, console))
    finally:
        servers.stop()


async def _workers(settings: SuiteSettings, servers: Servers, console: Console) -> None:
    children = worker_processes(settings, servers.environment())
    tell = partial(console.print, markup=False)
    suite = Suite(children, tell)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        await suite.start(START_SECONDS, stop)
        if not stop.is_set():
            _say_where(console, servers, suite)
            await _first_of(suite.run(stop), servers.keep_running(tell))
        console.print("Stopping: crawler, sync, indexer, then the servers ...")
    finally:
        await suite.stop(GRACE_SECONDS)


async def _first_of(*parts: Coroutine[Any, Any, None]) -> None:
    """Run these together until one of them ends; raise what it raised."""
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _say_where(console: Console, servers: Servers, suite: Suite) -> None:
    places = [
        *servers.places(),
        *(
            Place(child.name, f"http://127.0.0.1:{child.port}/metrics", nearby(child.log))
            for child in suite.children
        ),
    ]
    rows = [(place.name, place.where, place.data) for place in places]
    console.print(table(("what", "where", "data or log"), rows))
    console.print(NEXT.format(file=nearby(servers.write_environment())))
