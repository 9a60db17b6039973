"""Stores messages in streams, many at once, and returns when the server has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import msgspec

from shared.errors import ConfigError, DependencyError
from shared.queue.nats_jetstream.session import Session

MOST_PER_BATCH = 1000
"""The server's own limit of an atomic batch."""
_GOES_SINGLY = (10176, 10201, 10210)
"""A batch is incomplete, holds a duplicate, or too many others are being sent."""
_HEADER_BYTES = 1024
_GROWTH_BYTES = 16_384
"""By how much a job may grow until it is a dead letter with a reason."""
_MAY_PASS = (10023, 10047, 10077)  # insufficient resources; storage or the stream is full


class Message(msgspec.Struct, frozen=True):
    """What is to be stored; a message of the same id is stored once in the duplicate window."""

    subject: str
    body: bytes
    id: str
    headers: Mapping[str, str] = {}


async def store(session: Session, messages: Sequence[Message]) -> list[bool]:
    """Store these; for each, return whether it was new.

    An atomic batch costs one fsync and one answer. It is refused when it holds a duplicate, as a
    batch does whose answer was lost; its messages then go one by one.
    """
    fresh: list[bool] = []
    for at in range(0, len(messages), MOST_PER_BATCH):
        part = messages[at : at + MOST_PER_BATCH]
        if len(part) > 1 and await _as_batch(session, part):
            fresh += [True] * len(part)
        else:
            fresh += await _one_by_one(session, part)
    return fresh


async def _as_batch(session: Session, messages: Sequence[Message]) -> bool:
    batch = uuid4().hex
    for number, message in enumerate(messages[:-1], 1):
        await session.tell(message.subject, message.body, "", _headers(message, batch, number))
    last = _headers(messages[-1], batch, len(messages)) | {"Nats-Batch-Commit": "1"}
    asked = await session.ask(messages[-1].subject, messages[-1].body, last)
    (answer,) = await session.answers([asked])
    found = session.read(answer)
    if found.get("error", {}).get("err_code") in _GOES_SINGLY:
        return False
    _check(session, found)
    return True


async def _one_by_one(session: Session, messages: Sequence[Message]) -> list[bool]:
    asked = [await session.ask(each.subject, each.body, _headers(each)) for each in messages]
    found = [session.read(answer) for answer in await session.answers(asked)]
    for each in found:
        _check(session, each)
    return [not each.get("duplicate", False) for each in found]


def _headers(message: Message, batch: str = "", number: int = 0) -> dict[str, str]:
    headers = {"Nats-Msg-Id": quote(message.id), **message.headers}
    if batch:
        headers |= {"Nats-Batch-Id": batch, "Nats-Batch-Sequence": str(number)}
    return headers


def _check(session: Session, found: Mapping[str, Any]) -> None:
    error = found.get("error")
    if error is None:
        return
    if error.get("err_code") in _MAY_PASS:
        raise session.lost(f"it cannot store now: {error.get('description')}")
    raise DependencyError(f"JetStream refused a message: {error.get('description')}")


def largest_body(session: Session) -> int:
    """Return how many bytes the body of a message may have."""
    return session.max_payload - _HEADER_BYTES


def check_sizes(session: Session, messages: Sequence[Message]) -> None:
    """Raise ConfigError for a job that could not become a dead letter."""
    most = largest_body(session) - _GROWTH_BYTES
    for each in messages:
        if len(each.body) > most:
            raise ConfigError(
                f"a job of {len(each.body)} bytes is too large for this NATS server: raise its "
                f"max_payload ({session.max_payload}), or keep the payload elsewhere"
            )
