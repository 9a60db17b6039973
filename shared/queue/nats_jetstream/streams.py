"""Makes a queue's streams and consumers, and checks those that are there."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime
from typing import Any

import msgspec
from nats.aio.msg import Msg

from shared.errors import DependencyError
from shared.queue.nats_jetstream.names import CONSUMERS, Names
from shared.queue.nats_jetstream.session import Session

OLDEST_SERVER = (2, 12)
"""The first with delayed messages and atomic batches."""
ALIVE_SECONDS = 15.0
"""A worker that is not heard of for so long is gone."""
DUPLICATE_WINDOW_SECONDS = 120.0
MOST_LEASED = 65_536
"""Jobs that may run at once on one consumer, all workers together."""
_NOT_FOUND = (10014, 10059)  # consumer, stream
_NANOSECONDS = 1_000_000_000


class Origin(msgspec.Struct, frozen=True):
    """Which life of the data this is, and how far the server's clock is ahead of ours."""

    name: str = ""
    clock_ahead_seconds: float = 0.0


async def prepare(session: Session, names: Names, lease_seconds: float) -> Origin:
    """Make what is missing. Raises DependencyError for what is there and cannot be used."""
    refuse_old(session)
    wanted = {
        names.stream: _jobs(names),
        names.dead_stream: _dead_letters(names),
        names.workers_stream: _workers(names),
    }
    made = [_stream(session, name, settings) for name, settings in wanted.items()]
    queue = (await asyncio.gather(*made))[0]
    await asyncio.gather(
        *(_consumer(session, names, consumer, lease_seconds) for consumer in CONSUMERS)
    )
    ahead = parse_time(queue["ts"]) - time.time()
    return Origin(str(queue["created"]), ahead)


def refuse_old(session: Session) -> None:
    """Raise DependencyError when the server is too old."""
    if session.server_version < OLDEST_SERVER:
        found, oldest = (".".join(map(str, v)) for v in (session.server_version, OLDEST_SERVER))
        raise DependencyError(f"this NATS server is version {found}; {oldest} or later is needed")


async def set_lease(session: Session, names: Names, seconds: float) -> None:
    """Make this the time after which what was handed out is handed out again."""
    wait = int(seconds * _NANOSECONDS)
    await asyncio.gather(*(_set_lease(session, names, consumer, wait) for consumer in CONSUMERS))


def succeeded(answer: dict[str, Any]) -> dict[str, Any]:
    """Return an answer of the JetStream API. Raises DependencyError when it is an error."""
    if "error" in answer:
        raise DependencyError(f"JetStream refused: {answer['error'].get('description')}")
    return answer


def made_before(session: Session, answer: Msg) -> dict[str, Any]:
    """Return what is told of a stream or consumer that `prepare` made; as `succeeded` and `read`.

    Raises ConnectionLostError when it was deleted since: the next session has it again.
    """
    found = session.read(answer)
    if found.get("error", {}).get("err_code") in _NOT_FOUND:
        raise session.outdated("the queue's streams or consumers are gone")
    return succeeded(found)


def parse_time(text: str) -> float:
    """Return seconds since the epoch."""
    return datetime.fromisoformat(text).timestamp()


async def _set_lease(session: Session, names: Names, consumer: str, wait: int) -> None:
    known = succeeded(await session.api(f"CONSUMER.INFO.{names.stream}.{consumer}"))
    if known["config"]["ack_wait"] != wait:
        await _create(session, names, known["config"] | {"ack_wait": wait})


async def _stream(session: Session, name: str, wanted: dict[str, Any]) -> dict[str, Any]:
    known = await session.api(f"STREAM.INFO.{name}")
    if known.get("error", {}).get("err_code") in _NOT_FOUND:
        known = await session.api(f"STREAM.CREATE.{name}", {"name": name} | wanted)
    wrong = [
        f"{setting} is {succeeded(known)['config'].get(setting)!r}, not {value!r}"
        for setting, value in wanted.items()
        if setting != "duplicate_window" and known["config"].get(setting) != value
    ]
    if wrong:
        raise DependencyError(
            f"the stream {name} has other settings ({'; '.join(wrong)}): mend or remove it"
        )
    return known


async def _consumer(session: Session, names: Names, consumer: str, lease_seconds: float) -> None:
    known = await session.api(f"CONSUMER.INFO.{names.stream}.{consumer}")
    if known.get("error", {}).get("err_code") not in _NOT_FOUND:
        succeeded(known)
        return
    settings = {
        "durable_name": consumer,
        "filter_subject": names.filter_of(consumer),
        "ack_policy": "explicit",
        "ack_wait": int(lease_seconds * _NANOSECONDS),
        "max_deliver": -1,
        "max_ack_pending": MOST_LEASED,
    }
    await _create(session, names, settings)


async def _create(session: Session, names: Names, settings: dict[str, Any]) -> None:
    wish = {"stream_name": names.stream, "config": settings}
    call = f"CONSUMER.DURABLE.CREATE.{names.stream}.{settings['durable_name']}"
    succeeded(await session.api(call, wish))


def _jobs(names: Names) -> dict[str, Any]:
    return {
        "subjects": names.subjects,
        "retention": "limits",
        "storage": "file",
        "discard": "old",
        "max_msgs": -1,
        "max_bytes": -1,
        "max_age": 0,
        "duplicate_window": int(DUPLICATE_WINDOW_SECONDS * _NANOSECONDS),
        "allow_msg_schedules": True,
        "allow_atomic": True,
        "republish": {"src": ">", "dest": f"{names.prefix}wake.>", "headers_only": True},
    }


def _dead_letters(names: Names) -> dict[str, Any]:
    return {
        "subjects": [f"{names.prefix}dead.*"],
        "retention": "limits",
        "storage": "file",
        "max_msgs": -1,
        "max_bytes": -1,
        "max_age": 0,
        "allow_direct": True,
        "allow_atomic": True,
        "duplicate_window": int(DUPLICATE_WINDOW_SECONDS * _NANOSECONDS),
    }


def _workers(names: Names) -> dict[str, Any]:
    return {
        "subjects": [f"{names.prefix}workers.>"],
        "storage": "memory",
        "max_age": int(ALIVE_SECONDS * _NANOSECONDS),
        "max_msgs_per_subject": 1,
        "duplicate_window": int(ALIVE_SECONDS * _NANOSECONDS),
    }
