"""The verbs of `workers queue`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

import click
import msgspec

from shared.command_line import json_option, show
from shared.queue.administration import STATES, QueueAdmin, State
from shared.queue.schedules import ScheduleState
from workers.queue import printing
from workers.queue.draining import drained
from workers.queue.publishing import jobs_from
from workers.queue.selection import Selection, moment

_PAGE = 1_000
T = TypeVar("T")


@click.group("queue")
def queue() -> None:
    """Look at a QUEUE, and act on its jobs.

    QUEUE is its name: indexer:jobs, crawler:seeds. The broker is that of QUEUE_URL, or else the
    Redis of REDIS_URL (REDIS_ADDR and REDIS_PASSWORD). What a broker cannot do ends with exit
    code 2 and the reason. Exit code 1: there is no such job, or the queue did not drain in time.
    """


_queue = click.argument("name", metavar="QUEUE")
_keys = click.argument("keys", metavar="[KEY]...", nargs=-1)
_type = click.option("--type", "job_type", metavar="TYPE", help="Only jobs of this type.")


def _selection(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the ways to choose dead letters."""
    for option in (
        click.option("--all", "everything", is_flag=True, help="All that are there now."),
        click.option(
            "--until", type=moment, help="Died before this: 2026-01-31T12:00, or 2h (ago)."
        ),
        click.option("--since", type=moment, help="Died at this moment or later: as --until."),
        _type,
        _keys,
        _queue,
    ):
        command = option(command)
    return command


@queue.command()
@_queue
@json_option
def depth(name: str, as_json: bool) -> None:
    """Count what waits where, and tell how old the oldest ready job is."""
    found = _with(name, lambda admin: admin.depth())
    show(as_json, msgspec.to_builtins(found), printing.depth_lines(found))


@queue.command("list")
@_queue
@click.option(
    "--state", type=click.Choice(STATES), default="dead", show_default=True, help="Which jobs."
)
@click.option("--limit", type=click.IntRange(1, _PAGE), default=20, show_default=True)
@click.option("--offset", type=click.IntRange(0), default=0, show_default=True)
@json_option
def list_jobs(name: str, state: State, limit: int, offset: int, as_json: bool) -> None:
    """Show jobs in one state, next to be handed out first; dead letters oldest first."""
    if state == "dead":
        dead = _with(name, lambda admin: admin.dead_letters(limit=limit, offset=offset))
        records = [printing.as_job_record(each) for each in dead]
    else:
        records = list(_with(name, lambda admin: admin.jobs(state, limit=limit, offset=offset)))
    plain = [printing.plain(record) for record in records]
    show(as_json, plain, printing.job_lines(records, state))


@queue.command("show")
@_queue
@click.argument("key")
@json_option
def show_job(name: str, key: str, as_json: bool) -> None:
    """Show everything about one job: state, counts, payload, why it died."""
    record = _with(name, lambda admin: admin.job(key))
    if record is None:
        raise click.ClickException(f"{name} has no job {key}")
    show(as_json, printing.plain(record), printing.story(record))


@queue.command()
@_selection
def replay(name: str, **choice: Any) -> None:
    """Make dead letters ready again, with fresh counts."""
    chosen = Selection(**choice)
    count = _with(name, lambda admin: _on_dead(admin, admin.replay, chosen))
    click.echo(f"{count} replayed.")


@queue.command()
@_selection
def purge(name: str, **choice: Any) -> None:
    """Delete dead letters for good."""
    chosen = Selection(**choice)
    count = _with(name, lambda admin: _on_dead(admin, admin.purge, chosen))
    click.echo(f"{count} deleted.")


@queue.command()
@_queue
@click.argument("keys", metavar="KEY...", nargs=-1, required=True)
def cancel(name: str, keys: Sequence[str]) -> None:
    """Take jobs off the queue, waiting or running.

    A running job is cancelled by its worker within a third of its lease.
    """
    count = _with(name, lambda admin: admin.cancel(keys))
    click.echo(f"{count} of {len(keys)} cancelled.")
    sys.exit(0 if count == len(keys) else 1)


@queue.command()
@_queue
@_type
def pause(name: str, job_type: str | None) -> None:
    """Hand out nothing more, or no job of a type, until `resume`. What runs goes on."""
    _with(name, lambda admin: admin.pause(job_type))
    click.echo(f"{_what(name, job_type)} paused.")


@queue.command()
@_queue
@_type
def resume(name: str, job_type: str | None) -> None:
    """Undo a pause: that of the queue, or that of a type."""
    _with(name, lambda admin: admin.resume(job_type))
    click.echo(f"{_what(name, job_type)} resumed.")


@queue.command()
@_queue
@_type
@click.option(
    "--timeout", type=click.FloatRange(0), default=60.0, show_default=True, help="Seconds to wait."
)
def drain(name: str, job_type: str | None, timeout: float) -> None:
    """Pause, and wait until nothing runs any more; `resume` undoes it.

    Waiting jobs stay where they are. Exit code 1 when jobs still run after the time.
    """
    left = _with(name, lambda admin: drained(admin, job_type, timeout))
    if left:
        raise click.ClickException(f"{left} jobs of {_what(name, job_type)} still run; paused")
    click.echo(f"{_what(name, job_type)} drained and paused.")


@queue.command()
@_queue
@click.option("--type", "job_type", metavar="TYPE", help="Job type; not with --file.")
@click.option("--payload", default="{}", show_default=True, help="JSON text of the payload.")
@click.option(
    "--file",
    "lines",
    type=click.File("rb"),
    help='A job a line, - for standard input: {"type": ..., "payload": ..., "id": ...}.',
)
@click.option("--id", "job_id", default="", help="The producer's own id; only data.")
@click.option("--delay", type=click.FloatRange(0), default=0.0, help="Seconds it waits at first.")
@click.option("--priority", type=click.Choice(["high", "normal", "low"]), default="normal")
@click.option("--dedup-key", default="", help="Dropped while a job with this key waits.")
@click.option("--lane", default="", help="Key of the caps and rates it falls under.")
@json_option
def publish(name: str, as_json: bool, **wanted: Any) -> None:
    """Publish a job, or those of a file; print their keys."""
    from workers.bootstrap import open_queue

    jobs = jobs_from(**wanted)

    async def run() -> tuple[int, int]:
        async with open_queue(name) as opened:
            published = await opened.publish(jobs)
            return published.accepted, published.duplicates

    accepted, duplicates = asyncio.run(run())
    told = {"accepted": accepted, "duplicates": duplicates, "keys": [job.key for job in jobs]}
    lines = [f"{accepted} published, {duplicates} duplicates."]
    show(as_json, told, [*(job.key for job in jobs[:20]), *lines])


@queue.command()
@_queue
@click.option("--forget", "forgotten", metavar="NAME", help="Drop one that nobody announces.")
@json_option
def schedules(name: str, forgotten: str | None, as_json: bool) -> None:
    """List periodic jobs: what, how often, last and next time."""
    from workers.bootstrap import open_schedules

    async def run() -> tuple[bool, Sequence[ScheduleState]]:
        async with open_schedules(name) as store:
            known = await store.forget(forgotten) if forgotten else True
            return known, await store.schedules()

    known, found = asyncio.run(run())
    if not known:
        raise click.ClickException(f"{name} has no schedule {forgotten}")
    show(as_json, msgspec.to_builtins(found), printing.schedule_lines(found, datetime.now(UTC)))


def _what(name: str, job_type: str | None) -> str:
    return f"{job_type} of {name}" if job_type else name


async def _on_dead(
    admin: QueueAdmin, act: Callable[[Sequence[str]], Awaitable[int]], chosen: Selection
) -> int:
    """Act on the chosen dead letters, which are all listed before the first one falls."""
    keys = list(chosen.keys)
    if not keys:
        offset = 0
        while page := await admin.dead_letters(limit=_PAGE, offset=offset):
            offset += len(page)
            keys += (record.key for record in page if chosen.covers(record))
    return await act(keys)


def _with(name: str, work: Callable[[QueueAdmin], Awaitable[T]]) -> T:
    from workers.bootstrap import open_queue_admin

    async def run() -> T:
        async with open_queue_admin(name) as admin:
            return await work(admin)

    return asyncio.run(run())
