"""`workers queue` itself, and what all of its verbs share."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import click

from shared.queue.administration import QueueAdmin
from shared.queue.port import QueueSettings

T = TypeVar("T")


@click.group("queue")
@click.option(
    "--shards", type=int, default=1, show_default=True, help="Over how many shards QUEUE is spread."
)
def queue(shards: int) -> None:
    """Look at a QUEUE, and act on its jobs.

    QUEUE is its name: indexer:jobs, crawler:seeds. The broker is that of QUEUE_URL, or else the
    Redis of REDIS_URL (REDIS_ADDR and REDIS_PASSWORD). What a broker cannot do ends with exit
    code 2 and the reason. Exit code 1: there is no such job, or the queue did not drain in time.
    """


def _settings(context: click.Context, _: click.Parameter, name: str) -> QueueSettings:
    shards = context.parent.params["shards"] if context.parent else 1
    return QueueSettings(name=name, shards=shards)


queue_argument = click.argument("queue", metavar="QUEUE", callback=_settings)
type_option = click.option("--type", "job_type", metavar="TYPE", help="Only jobs of this type.")


def ask(settings: QueueSettings, work: Callable[[QueueAdmin], Awaitable[T]]) -> T:
    """Do something with the administration of a queue."""
    from workers.bootstrap import open_queue_admin

    async def run() -> T:
        async with open_queue_admin(settings) as admin:
            return await work(admin)

    return asyncio.run(run())
