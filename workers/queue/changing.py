"""The verbs of `workers queue` that change something."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import click

from shared.command_line import json_option, show
from shared.queue.administration import QueueAdmin
from shared.queue.port import QueueSettings
from workers.queue.draining import drained
from workers.queue.group import ask, queue, queue_argument, type_option
from workers.queue.looking import all_dead
from workers.queue.publishing import jobs_from
from workers.queue.selection import Selection, moment


def _selection(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the ways to choose dead letters."""
    for option in (
        json_option,
        click.option("--all", "everything", is_flag=True, help="All that are there now."),
        click.option(
            "--until", type=moment, help="Died before this: 2026-01-31T12:00, or 2h (ago)."
        ),
        click.option("--since", type=moment, help="Died at this moment or later: as --until."),
        type_option,
        click.argument("keys", metavar="[KEY]...", nargs=-1),
        queue_argument,
    ):
        command = option(command)
    return command


@queue.command()
@_selection
def replay(queue: QueueSettings, as_json: bool, **choice: Any) -> None:
    """Make dead letters ready again, with fresh counts."""
    chosen = Selection(**choice)
    count = ask(queue, lambda admin: _on_dead(admin, admin.replay, chosen))
    show(as_json, {"replayed": count}, [f"{count} replayed."])


@queue.command()
@_selection
def purge(queue: QueueSettings, as_json: bool, **choice: Any) -> None:
    """Delete dead letters for good."""
    chosen = Selection(**choice)
    count = ask(queue, lambda admin: _on_dead(admin, admin.purge, chosen))
    show(as_json, {"deleted": count}, [f"{count} deleted."])


@queue.command()
@queue_argument
@click.argument("keys", metavar="KEY...", nargs=-1, required=True)
@json_option
def cancel(queue: QueueSettings, keys: Sequence[str], as_json: bool) -> None:
    """Take jobs off the queue, waiting or running.

    A running job is cancelled by its worker within a third of its lease.
    """
    count = ask(queue, lambda admin: admin.cancel(keys))
    show(as_json, {"cancelled": count}, [f"{count} of {len(keys)} cancelled."])
    sys.exit(0 if count == len(keys) else 1)


@queue.command()
@queue_argument
@type_option
@json_option
def pause(queue: QueueSettings, job_type: str | None, as_json: bool) -> None:
    """Hand out nothing more, or no job of a type, until `resume`. What runs goes on."""
    ask(queue, lambda admin: admin.pause(job_type))
    show(as_json, _state(queue, job_type, paused=True), [f"{_what(queue, job_type)} paused."])


@queue.command()
@queue_argument
@type_option
@json_option
def resume(queue: QueueSettings, job_type: str | None, as_json: bool) -> None:
    """Undo a pause: that of the queue, or that of a type."""
    ask(queue, lambda admin: admin.resume(job_type))
    show(as_json, _state(queue, job_type, paused=False), [f"{_what(queue, job_type)} resumed."])


@queue.command()
@queue_argument
@type_option
@click.option(
    "--timeout", type=click.FloatRange(0), default=60.0, show_default=True, help="Seconds to wait."
)
@json_option
def drain(queue: QueueSettings, job_type: str | None, timeout: float, as_json: bool) -> None:
    """Pause, and wait until nothing runs any more; `resume` undoes it.

    Waiting jobs stay where they are. Exit code 1 when jobs still run after the time.
    """
    left = ask(queue, lambda admin: drained(admin, job_type, timeout))
    what = _what(queue, job_type)
    if left and not as_json:
        raise click.ClickException(f"{left} jobs of {what} still run; paused")
    told = {**_state(queue, job_type, paused=True), "running": left}
    show(as_json, told, [f"{what} drained and paused."])
    sys.exit(1 if left else 0)


@queue.command()
@queue_argument
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
def publish(queue: QueueSettings, as_json: bool, **wanted: Any) -> None:
    """Publish a job, or those of a file; print their keys."""
    from workers.bootstrap import open_queue

    jobs = jobs_from(**wanted)

    async def run() -> tuple[int, int]:
        async with open_queue(queue) as opened:
            published = await opened.publish(jobs)
            return published.accepted, published.duplicates

    accepted, duplicates = asyncio.run(run())
    told = {"accepted": accepted, "duplicates": duplicates, "keys": [job.key for job in jobs]}
    lines = [f"{accepted} published, {duplicates} duplicates."]
    show(as_json, told, [*(job.key for job in jobs[:20]), *lines])


def _what(queue: QueueSettings, job_type: str | None) -> str:
    return f"{job_type} of {queue.name}" if job_type else queue.name


def _state(queue: QueueSettings, job_type: str | None, *, paused: bool) -> dict[str, object]:
    return {"queue": queue.name, "type": job_type, "paused": paused}


async def _on_dead(
    admin: QueueAdmin, act: Callable[[Sequence[str]], Awaitable[int]], chosen: Selection
) -> int:
    """Act on the chosen dead letters, which are all listed before the first one falls."""
    if chosen.keys:
        return await act(chosen.keys)
    return await act([record.key async for record in all_dead(admin) if chosen.covers(record)])
