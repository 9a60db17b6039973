"""The topics of a queue: their names, which of them holds a delayed job, and their creation."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec
from aiokafka import errors
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from shared.errors import ConfigError, DependencyError
from shared.queue.kafka.address import Address

LONGEST_NAME = 200
"""Kafka allows 249 characters; the rest is for what is added to the queue's name."""
_NAME = re.compile(r"[A-Za-z0-9._-]+")
_BUCKETS = (("10s", 10.0), ("5m", 300.0), ("1h", 3600.0))
LONGEST_DELAY_SECONDS = _BUCKETS[-1][1]
"""A job with a longer delay is put off again each time this has passed."""
LARGEST_JOB_BYTES = 1_000_000
"""Kafka takes records up to 1 MiB by default; ours may grow on their way to the dead letters."""
_FOREVER = {
    "retention.ms": "-1",
    "retention.bytes": "-1",
    "max.message.bytes": str(2 * 1024 * 1024),
}
_COMPACTED = {"cleanup.policy": "compact", **_FOREVER}


class Topics(msgspec.Struct, frozen=True):
    """Names of the topics of one queue."""

    inbox: str
    """What programs in any language produce to; also the name of the consumer group."""
    jobs: str
    retry: Sequence[str]
    """Delayed jobs and retries, by length of the delay, so that a short one never waits behind
    more than a few times its own delay."""
    dead: str

    @property
    def consumed(self) -> list[str]:
        """Those that the consumer group reads."""
        return [self.inbox, self.jobs, *self.retry]

    def bucket(self, delay_seconds: float) -> str:
        """Name the topic for jobs that wait so long; no wait at all is an ordinary job."""
        if delay_seconds <= 0:
            return self.jobs
        fits = (name for name, (_, most) in zip(self.retry, _BUCKETS, strict=True)
                if delay_seconds <= most)  # fmt: skip
        return next(fits, self.retry[-1])


def topics_of(queue: str) -> Topics:
    """Name the topics of a queue; the colons of a queue's name become hyphens.

    Raises ConfigError for a name of which no topic can be made.
    """
    name = queue.replace(":", "-")
    if not _NAME.fullmatch(name) or len(name) > LONGEST_NAME or name in (".", ".."):
        raise ConfigError(
            f"queue name {queue!r} cannot be a Kafka topic; allowed are up to {LONGEST_NAME} "
            "letters, digits and . _ - :"
        )
    retry = [f"{name}.retry.{label}" for label, _ in _BUCKETS]
    return Topics(name, f"{name}.jobs", retry, f"{name}.dead")


async def create_missing(
    admin: AIOKafkaAdminClient, topics: Topics, address: Address
) -> Sequence[str]:
    """Create the topics that are not there; return their names.

    Raises DependencyError, with the broker's reason, when one cannot be created.
    """
    there = set(await admin.list_topics())
    wanted = [
        NewTopic(topics.inbox, address.partitions, address.replication),
        NewTopic(topics.dead, 1, address.replication, topic_configs=_COMPACTED),
    ]
    wanted += [
        NewTopic(name, address.partitions, address.replication, topic_configs=_FOREVER)
        for name in (topics.jobs, *topics.retry)
    ]
    missing = [each for each in wanted if each.name not in there]
    if not missing:
        return []
    answer = await admin.create_topics(missing)
    for name, code, *message in answer.topic_errors:
        error = errors.for_code(code)
        if error not in (errors.NoError, errors.TopicAlreadyExistsError):
            raise DependencyError(
                f"Kafka at {address.servers} does not create topic {name}: "
                f"{message[0] if message and message[0] else error.__name__}; "
                "create it by hand, or change partitions and replication in the URL"
            )
    return [each.name for each in missing]
