"""The names and arguments of what one job queue is made of on the broker, and its delay queues.

q              ready jobs, and the inbox of all other programs (quorum queue)
q.suspects     jobs that lost their lease twice; one at a time a process (quorum queue)
q.dead         dead letters (quorum queue)
q.delay.N      jobs that wait at most N ms; what is due goes back to q (quorum queues)
q.dead-lock    exclusive to the connection that reads dead letters
q.kind         which kind of worker consumes q; goes with the last of them
q.incarnation  names this life of the data
q.delays       exchange with a mark for each q.delay.N that exists
q.delay-list   exchange that leads these marks to whoever asks
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from shared.errors import ConfigError

SUSPECT_CRASHES = 2
"""From so many lost leases on a job is a suspect."""
DELIVERY_LIMIT = 100
"""The broker itself dead-letters a message that came back this often: the last resort."""
LISTING_LIMIT = 1_000_000_000
"""Listing dead letters brings them back each time; RabbitMQ 4 would drop them after 20 times."""
STEPS_PER_OCTAVE = 2
SHORTEST_DELAY_MS = 125
LONGEST_DELAY_SECONDS = 40 * 86_400.0
"""RabbitMQ counts the life of a message in 32 bits of milliseconds."""
_LONGEST_NAME_BYTES = 200


class Names(msgspec.Struct, frozen=True):
    """The broker's names for one job queue."""

    work: str

    @property
    def suspects(self) -> str:
        return f"{self.work}.suspects"

    @property
    def dead(self) -> str:
        return f"{self.work}.dead"

    @property
    def lock(self) -> str:
        return f"{self.work}.dead-lock"

    @property
    def kind(self) -> str:
        return f"{self.work}.kind"

    @property
    def incarnation(self) -> str:
        return f"{self.work}.incarnation"

    @property
    def delays(self) -> str:
        return f"{self.work}.delays"

    @property
    def delay_list(self) -> str:
        return f"{self.work}.delay-list"

    def delay(self, longest_ms: int) -> str:
        return f"{self.work}.delay.{longest_ms}"

    def home(self, crashes: int) -> str:
        """Name the queue where a job with so many crashes waits."""
        return self.suspects if crashes >= SUSPECT_CRASHES else self.work


def names_of(queue: str) -> Names:
    """Return the names; raises ConfigError for one that RabbitMQ would refuse."""
    size = len(queue.encode())
    if not queue or size > _LONGEST_NAME_BYTES:
        raise ConfigError(
            f"a queue name on RabbitMQ has 1 to {_LONGEST_NAME_BYTES} bytes, this one has {size}"
        )
    if queue.startswith("amq."):
        raise ConfigError(f"queue name {queue!r}: names that begin with amq. belong to RabbitMQ")
    return Names(queue)


def bucket_ms(delay_seconds: float) -> int:
    """Return the longest delay in the delay queue that a job with this delay waits in.

    A message whose time has come leaves only from the front of its queue, so the delays in one
    queue must not differ by more than we accept a job to be late: a factor of about 1.4.
    """
    for longest in buckets():
        if delay_seconds * 1000 <= longest:
            return longest
    raise ConfigError(f"a delay of {delay_seconds:g} s is over RabbitMQ's 40 days")


def buckets() -> Iterator[int]:
    """Return the longest delay of every delay queue there can be, shortest first, in ms."""
    octaves = math.log2(LONGEST_DELAY_SECONDS * 1000 / SHORTEST_DELAY_MS)
    for step in range(math.ceil(octaves * STEPS_PER_OCTAVE) + 1):
        yield math.ceil(SHORTEST_DELAY_MS * 2 ** (step / STEPS_PER_OCTAVE))


def quorum_arguments(delivery_limit: int, to: str | None) -> Mapping[str, Any]:
    """Return the arguments of a quorum queue that moves dead messages to another, losing none."""
    arguments: dict[str, Any] = {"x-queue-type": "quorum", "x-delivery-limit": delivery_limit}
    if to is not None:
        arguments |= {
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": to,
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",  # that strategy asks for it
        }
    return arguments


def durable_queues(names: Names) -> Mapping[str, Mapping[str, Any]]:
    """Return the queues that always exist, with their arguments."""
    return {
        names.dead: quorum_arguments(LISTING_LIMIT, None),
        names.work: quorum_arguments(DELIVERY_LIMIT, names.dead),
        names.suspects: quorum_arguments(DELIVERY_LIMIT, names.dead),
    }
