"""How much waits where, from what the server knows of the queue's streams and consumers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.queue.nats_jetstream.names import CONSUMERS, DELAYED, Names
from shared.queue.nats_jetstream.session import Session
from shared.queue.nats_jetstream.streams import parse_time, succeeded
from shared.queue.port import QueueDepth


async def depth(session: Session, names: Names) -> QueueDepth:
    """See Queue.depth."""
    calls = [f"STREAM.INFO.{names.dead_stream}"]
    calls += [f"CONSUMER.INFO.{names.stream}.{each}" for each in (DELAYED, *CONSUMERS)]
    answers = await session.answers([await session.ask_api(call) for call in calls])
    dead, delayed, *found = [succeeded(session.read(answer)) for answer in answers]
    consumers = dict(zip(CONSUMERS, found, strict=True))
    pending = {name: int(each["num_pending"]) for name, each in consumers.items()}
    return QueueDepth(
        inbox=pending["inbox"],
        ready=sum(pending.values()) - pending["inbox"],
        delayed=int(delayed["num_pending"]),
        leased=sum(int(each["num_ack_pending"]) for each in found),
        dead=int(dead["state"]["messages"]),
        oldest_ready_age_seconds=await _oldest_age(session, names, consumers),
    )


async def _oldest_age(
    session: Session, names: Names, consumers: Mapping[str, Mapping[str, Any]]
) -> float | None:
    ages = []
    for name, consumer in consumers.items():
        if not consumer["num_pending"]:
            continue
        following = consumer["delivered"]["stream_seq"] + 1
        wish = {"seq": following, "next_by_subj": names.filter_of(name)}
        found = await session.api(f"STREAM.MSG.GET.{names.stream}", wish)
        if "message" in found:  # else it was claimed in between
            ages.append(parse_time(consumer["ts"]) - parse_time(found["message"]["time"]))
    return max(0.0, *ages) if ages else None
