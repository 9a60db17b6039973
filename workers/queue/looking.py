"""The verbs of `workers queue` that change nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime

import click
import msgspec

from shared.command_line import json_option, show
from shared.queue.administration import (
    STATES,
    DeadLetterRecord,
    JobRecord,
    QueueAdmin,
    State,
)
from shared.queue.port import QueueSettings, require
from shared.queue.schedules import ScheduleState
from workers.queue import printing
from workers.queue.group import ask, queue, queue_argument

PAGE = 1_000


@queue.command()
@queue_argument
@json_option
def depth(queue: QueueSettings, as_json: bool) -> None:
    """Count what waits where, and tell how old the oldest ready job is."""
    found = ask(queue, lambda admin: admin.depth())
    show(as_json, msgspec.to_builtins(found), printing.depth_lines(found))


@queue.command("list")
@queue_argument
@click.option(
    "--state", type=click.Choice(STATES), default="dead", show_default=True, help="Which jobs."
)
@click.option("--limit", type=click.IntRange(1, PAGE), default=20, show_default=True)
@click.option("--offset", type=click.IntRange(0), default=0, show_default=True)
@json_option
def list_jobs(queue: QueueSettings, state: State, limit: int, offset: int, as_json: bool) -> None:
    """Show jobs in one state, next to be handed out first; dead letters oldest first."""
    if state == "dead":
        dead = ask(queue, lambda admin: admin.dead_letters(limit=limit, offset=offset))
        records = [printing.as_job_record(each) for each in dead]
    else:
        records = list(ask(queue, lambda admin: admin.jobs(state, limit=limit, offset=offset)))
    plain = [printing.plain(record) for record in records]
    show(as_json, plain, printing.job_lines(records, state))


@queue.command("show")
@queue_argument
@click.argument("key")
@json_option
def show_job(queue: QueueSettings, key: str, as_json: bool) -> None:
    """Show everything about one job: state, counts, payload, why it died.

    On a broker that cannot list what waits and runs, dead letters only.
    """
    record = ask(queue, lambda admin: _found(admin, key))
    if record is None:
        raise click.ClickException(f"{queue.name} has no job {key}")
    show(as_json, printing.plain(record), printing.story(record))


@queue.command()
@queue_argument
@click.option("--forget", "forgotten", metavar="NAME", help="Drop one that nobody announces.")
@json_option
def schedules(queue: QueueSettings, forgotten: str | None, as_json: bool) -> None:
    """List periodic jobs: what, how often, last and next time."""
    from workers.bootstrap import open_schedules

    async def run() -> tuple[bool, Sequence[ScheduleState]]:
        async with open_schedules(queue) as store:
            known = await store.forget(forgotten) if forgotten else True
            return known, await store.schedules()

    known, found = asyncio.run(run())
    if not known:
        raise click.ClickException(f"{queue.name} has no schedule {forgotten}")
    show(as_json, msgspec.to_builtins(found), printing.schedule_lines(found, datetime.now(UTC)))


async def all_dead(admin: QueueAdmin) -> AsyncIterator[DeadLetterRecord]:
    """Go through all dead letters, oldest first, a page at a time."""
    offset = 0
    while page := await admin.dead_letters(limit=PAGE, offset=offset):
        offset += len(page)
        for record in page:
            yield record


async def _found(admin: QueueAdmin, key: str) -> JobRecord | None:
    if admin.capabilities.listing:
        return await admin.job(key)
    async for record in all_dead(admin):
        if record.key == key:
            return printing.as_job_record(record)
    require(admin.capabilities, "listing")
    return None
