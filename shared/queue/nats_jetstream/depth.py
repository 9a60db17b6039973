"""How much waits where, from what the server knows of the queue's streams and consumers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.queue.nats_jetstream.names import CONSUMERS, Names
from shared.queue.nats_jetstream.session import Session
from shared.queue.nats_jetstream.streams import made_before, parse_time
from shared.queue.port import QueueDepth

_BEYOND_ALL = 2**31 - 1


async def depth(session: Session, names: Names) -> QueueDepth:
    """See Queue.depth."""
    calls = [f"CONSUMER.INFO.{names.stream}.{each}" for each in CONSUMERS]
    asked = [await session.ask_api(call) for call in (f"STREAM.INFO.{names.dead_stream}", *calls)]
    # Each delayed job has a subject of its own; the total tells their number, page or no page.
    wish = {"subjects_filter": names.delayed("*"), "offset": _BEYOND_ALL}
    asked.append(await session.ask_api(f"STREAM.INFO.{names.stream}", wish))
    answers = await session.answers(asked)
    dead, *found, delayed = [made_before(session, answer) for answer in answers]
    consumers = dict(zip(CONSUMERS, found, strict=True))
    pending = {name: int(each["num_pending"]) for name, each in consumers.items()}
    return QueueDepth(
        inbox=pending["inbox"],
        ready=sum(pending.values()) - pending["inbox"],
        delayed=int(delayed.get("total", 0)),
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
