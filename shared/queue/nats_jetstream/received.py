"""What a message of the queue's stream says."""

from __future__ import annotations

import msgspec
from nats.aio.msg import Msg

_SHORT_FORM = 9
"""Parts of a reply subject without a domain; see nats-io/nats-architecture-and-design, ADR-15."""


class Received(msgspec.Struct, frozen=True, gc=False):
    """One delivery of a message, as its reply subject tells."""

    token: str
    """The reply subject: it names this delivery and no other."""
    subject: str
    body: bytes
    consumer: str
    deliveries: int
    """How often the message was handed out; more than once only when a lease expired."""
    sequence: str
    stored_ms: int
    more: bool
    """Whether the consumer had more that nobody has had yet."""
    asked_at: float
    """Monotonic reading before it was asked for."""


def received(message: Msg, asked_at: float) -> Received:
    """Read a delivered message."""
    parts = message.reply.split(".")
    at = 2 if len(parts) == _SHORT_FORM else 4
    _, consumer, deliveries, sequence, _, stored_ns, pending = parts[at : at + 7]
    return Received(
        message.reply, message.subject, message.data, consumer, int(deliveries), sequence,
        int(stored_ns) // 1_000_000, pending != "0", asked_at,
    )  # fmt: skip


def consumer_of(token: str) -> str:
    """Return the consumer that a delivery came from."""
    parts = token.split(".")
    return parts[3] if len(parts) == _SHORT_FORM else parts[5]


def sequence_of(token: str) -> str:
    """Return the message's place in the stream, which names it in one life of the data."""
    parts = token.split(".")
    return parts[5] if len(parts) == _SHORT_FORM else parts[7]
