"""Two things the fleet must agree on. RabbitMQ keeps no values for its clients but the arguments
of a queue: whoever declares it with others is refused, and told what they are."""

from __future__ import annotations

import re
from typing import Any
from uuid import uuid4

from aiormq.abc import DeliveredMessage
from aiormq.exceptions import ChannelPreconditionFailed

from shared.errors import QueueConflictError
from shared.queue.rabbitmq.session import Session

_UNUSED_MS = 60_000
_TOLD = re.compile(r"but current is '(.*)'$")


async def register_kind(session: Session, kind: str) -> None:
    """Register a worker of this kind for as long as the session lasts.

    Raises QueueConflictError while workers of another kind are registered.
    """
    name = session.names.kind
    arguments = {"x-expires": _UNUSED_MS, "x-dead-letter-exchange": kind}
    found = await _agree(session, name, kind, auto_delete=True, arguments=arguments)
    if found != kind:
        raise QueueConflictError(
            f"queue {session.names.work} already has {found} workers, and this is a {kind} "
            "worker: give each kind a queue name of its own"
        )
    await session.control.basic_consume(name, _ignore)  # the queue goes with its last consumer


async def incarnation(session: Session) -> str:
    """Return the name of this life of the broker's data, made up by who asks first."""
    arguments = {"x-dead-letter-exchange": uuid4().hex}
    return await _agree(
        session,
        session.names.incarnation,
        arguments["x-dead-letter-exchange"],
        auto_delete=False,
        arguments=arguments,
    )


async def _agree(
    session: Session, name: str, value: str, *, auto_delete: bool, arguments: dict[str, Any]
) -> str:
    channel = await session.channel()
    try:
        await channel.queue_declare(
            name, durable=True, auto_delete=auto_delete, arguments=arguments
        )
    except ChannelPreconditionFailed as error:
        told = _TOLD.search(str(error.args[0]))
        if told is None:
            raise
        return told[1]
    await channel.close()
    return value


async def _ignore(_: DeliveredMessage) -> None:
    """Nothing is ever published to a register."""
