"""Reads dead letters out of their stream."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Sequence

import msgspec
from nats.aio.msg import Msg

from shared.queue.nats_jetstream.names import Names
from shared.queue.nats_jetstream.session import Session
from shared.queue.nats_jetstream.stored_job import StoredDeadLetter, decode_dead_letter
from shared.queue.nats_jetstream.streams import parse_time, succeeded


class FoundLetter(msgspec.Struct, frozen=True):
    """A dead letter and its place in the stream."""

    sequence: int
    died_at: float
    letter: StoredDeadLetter


async def oldest(session: Session, names: Names, count: int, after: int) -> list[FoundLetter]:
    """Return the oldest dead letters after a sequence, oldest first."""
    found: list[FoundLetter] = []
    while len(found) < count:
        part = await _batch(session, names, after + 1, count - len(found))
        if not part:
            break
        found += part
        after = part[-1].sequence
    return found


async def newest_of(session: Session, names: Names, keys: Sequence[str]) -> list[FoundLetter]:
    """Return the newest dead letter of each key that has one."""
    call = f"STREAM.MSG.GET.{names.dead_stream}"
    asked = [await session.ask_api(call, {"last_by_subj": names.dead(key)}) for key in keys]
    answers = [session.read(answer) for answer in await session.answers(asked)]
    return [
        FoundLetter(
            found["message"]["seq"],
            parse_time(found["message"]["time"]),
            decode_dead_letter(base64.b64decode(found["message"]["data"])),
        )
        for found in answers
        if "message" in found
    ]


async def delete(session: Session, names: Names, letters: Sequence[FoundLetter]) -> None:
    """Delete these for good; to overwrite them as well takes the server ten times as long."""
    call = f"STREAM.MSG.DELETE.{names.dead_stream}"
    asked = [
        await session.ask_api(call, {"seq": each.sequence, "no_erase": True}) for each in letters
    ]
    for answer in await session.answers(asked):
        succeeded(session.read(answer))


async def _batch(session: Session, names: Names, first: int, count: int) -> list[FoundLetter]:
    found: list[FoundLetter] = []
    end: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def receive(message: Msg) -> None:
        headers = message.headers or {}
        if "Nats-Sequence" in headers:
            found.append(_read(message.data, headers))
        elif not end.done():  # the end of the batch, or nothing was found
            end.set_result(None)

    inbox = session.new_inbox()
    session.end_with(end)
    await session.subscribe(inbox, receive)
    wish = {"seq": first, "next_by_subj": f"{names.prefix}dead.*", "batch": count}
    await session.tell(f"$JS.API.DIRECT.GET.{names.dead_stream}", json.dumps(wish).encode(), inbox)
    await session.answers([end])
    return found


def _read(body: bytes, headers: dict[str, str]) -> FoundLetter:
    died_at = parse_time(headers["Nats-Time-Stamp"])
    return FoundLetter(int(headers["Nats-Sequence"]), died_at, decode_dead_letter(body))
