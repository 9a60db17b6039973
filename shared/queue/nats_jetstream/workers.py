"""Which workers consume a queue: each says every few seconds that it lives."""

from __future__ import annotations

import msgspec

from shared.errors import QueueConflictError
from shared.queue.nats_jetstream.names import Names
from shared.queue.nats_jetstream.session import Session
from shared.queue.nats_jetstream.streams import succeeded


class Worker(msgspec.Struct, frozen=True):
    """One consumer of a queue."""

    subject: str
    kind: str
    lease_seconds: float


async def say_alive(session: Session, subject: str) -> None:
    """Count as alive from now on, for a while."""
    await session.tell(subject)


async def register(session: Session, names: Names, queue: str, me: Worker) -> float:
    """Register a worker; return the longest lease that the living ask for.

    The server keeps one for all. A longer one harms nobody, and one that is shorter than a worker
    renews would take its jobs away.

    Raises QueueConflictError when a worker of another kind lives.
    """
    await session.confirmed([await session.ask(me.subject)])
    alive = await workers(session, names)
    other = next((each for each in alive if each.kind != me.kind), None)
    if other is not None:
        await leave(session, names, me.subject)
        raise QueueConflictError(
            f"queue {queue} already has {other.kind} workers, and this is a {me.kind} worker: "
            "give each kind a queue name of its own"
        )
    return max([me.lease_seconds, *(each.lease_seconds for each in alive)])


async def leave(session: Session, names: Names, subject: str) -> None:
    """Stop counting as alive."""
    await session.api(f"STREAM.PURGE.{names.workers_stream}", {"filter": subject})


async def workers(session: Session, names: Names) -> list[Worker]:
    """List the workers that live."""
    wish = {"subjects_filter": f"{names.prefix}workers.>"}
    found = succeeded(await session.api(f"STREAM.INFO.{names.workers_stream}", wish))
    return [_worker(subject) for subject in found["state"].get("subjects") or ()]


def _worker(subject: str) -> Worker:
    kind, lease_ms, _ = subject.rsplit(".", 3)[1:]
    return Worker(subject, bytes.fromhex(kind).decode(), int(lease_ms) / 1000)
