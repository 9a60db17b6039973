"""`workers queue`: what a person does to dead letters."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import TypeVar

import click

from shared.command_line import json_option, show
from shared.queue.administration import DeadLetterRecord, QueueAdmin

_PAGE = 1_000
_BODY_SHOWN = 300
T = TypeVar("T")


@click.group("queue")
def queue() -> None:
    """List, replay or purge the dead letters of a QUEUE.

    QUEUE is its name: indexer:jobs, crawler:seeds. The server is that of REDIS_URL, or of
    REDIS_ADDR and REDIS_PASSWORD.
    """


_queue = click.argument("name", metavar="QUEUE")
_keys = click.argument("keys", metavar="[KEY]...", nargs=-1)
_all = click.option("--all", "everything", is_flag=True, help="All that are there now.")


@queue.command("list")
@_queue
@click.option("--limit", type=click.IntRange(1, _PAGE), default=20, show_default=True)
@click.option("--offset", type=click.IntRange(0), default=0, show_default=True)
@json_option
def list_dead(name: str, limit: int, offset: int, as_json: bool) -> None:
    """Show dead letters, oldest first: key, reason, and what the job was."""
    records = _with(name, lambda admin: admin.dead_letters(limit=limit, offset=offset))
    show(as_json, [_plain(record) for record in records], _lines(records))


@queue.command()
@_queue
@_keys
@_all
def replay(name: str, keys: Sequence[str], everything: bool) -> None:
    """Make dead letters ready again, with fresh counts."""
    _check(keys, everything)
    count = _with(name, lambda admin: _on(admin, admin.replay, keys))
    click.echo(f"{count} replayed.")


@queue.command()
@_queue
@_keys
@_all
def purge(name: str, keys: Sequence[str], everything: bool) -> None:
    """Delete dead letters for good."""
    _check(keys, everything)
    count = _with(name, lambda admin: _on(admin, admin.purge, keys))
    click.echo(f"{count} deleted.")


def _check(keys: Sequence[str], everything: bool) -> None:
    if bool(keys) is everything:
        raise click.UsageError("give KEYs, as `workers queue list` shows them, or --all")


async def _on(
    admin: QueueAdmin, act: Callable[[Sequence[str]], Awaitable[int]], keys: Sequence[str]
) -> int:
    """Act on these dead letters; without keys on all, which are listed before the first falls."""
    return await act(keys or await _all_keys(admin))


async def _all_keys(admin: QueueAdmin) -> list[str]:
    keys: list[str] = []
    while page := await admin.dead_letters(limit=_PAGE, offset=len(keys)):
        keys += (record.key for record in page)
    return keys


def _with(name: str, work: Callable[[QueueAdmin], Awaitable[T]]) -> T:
    from workers.bootstrap import open_queue_admin

    async def run() -> T:
        async with open_queue_admin(name) as admin:
            return await work(admin)

    return asyncio.run(run())


def _plain(record: DeadLetterRecord) -> dict[str, object]:
    """As JSON can hold it: a payload and bytes that nobody could read are text here."""
    job = record.job
    return {
        "key": record.key,
        "reason": record.reason,
        "died_at": record.died_at,
        "attempts": record.attempts,
        "crashes": record.crashes,
        "id": job.id if job else "",
        "type": job.type if job else None,
        "body": (job.payload if job else record.raw).decode(errors="replace"),
    }


def _lines(records: Sequence[DeadLetterRecord]) -> Iterator[str]:
    if not records:
        yield "No dead letters."
    for record in records:
        died = datetime.fromtimestamp(record.died_at, UTC).isoformat(sep=" ", timespec="seconds")
        fields = _plain(record)
        yield f"{record.key}  {died}  attempts {record.attempts}, crashes {record.crashes}"
        yield f"  {record.reason}"
        yield f"  {fields['type'] or 'message'}: {str(fields['body'])[:_BODY_SHOWN]}"
