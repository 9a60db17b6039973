"""Which adapters the suite runs on, and which of its cases each one is asked.

A case that is marked `@pytest.mark.needs("priority")` runs on the adapters that claim this
capability, and on no other; all other cases are core promises, and run on every adapter.
`competing` is a need of the same kind: see Broker.competing.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest

from shared.queue.kafka.queue import KafkaQueue
from shared.queue.memory.queue import MemoryQueue
from shared.queue.nats_jetstream.capabilities import CAPABILITIES as NATS
from shared.queue.port import Capabilities
from shared.queue.postgres.capabilities import CAPABILITIES as POSTGRES
from shared.queue.rabbitmq.queue import RabbitQueue
from shared.queue.redis.queue import RedisQueue
from tests.contracts.queue.harness import Harness, MemoryHarness, RedisHarness
from tests.contracts.queue.kafka_harness import KafkaHarness
from tests.contracts.queue.nats_harness import NatsHarness
from tests.contracts.queue.postgres_harness import PostgresHarness
from tests.contracts.queue.rabbitmq_harness import RabbitHarness


class Broker(msgspec.Struct, frozen=True):
    """An adapter under test: what it claims, its harness, and the fixture with its server's URL."""

    capabilities: Capabilities
    harness: type[Harness]
    url_fixture: str = ""
    competing: bool = True
    """Whether any consumer may get any job; not where each owns a part of the queue."""

    def can(self, need: str) -> bool:
        """Tell whether a case with this need is asked of it."""
        return self.competing if need == "competing" else bool(getattr(self.capabilities, need))

    def open(self, request: pytest.FixtureRequest) -> Harness:
        """Return a harness on a new, empty queue."""
        return self.harness(request.getfixturevalue(self.url_fixture) if self.url_fixture else "")


BROKERS: dict[str, Broker] = {
    "memory": Broker(MemoryQueue.capabilities, MemoryHarness),
    "valkey9": Broker(RedisQueue.capabilities, RedisHarness, "redis_url"),
    "redis7": Broker(RedisQueue.capabilities, RedisHarness, "redis7_url"),
    "rabbitmq": Broker(RabbitQueue.capabilities, RabbitHarness, "rabbitmq_url"),
    "cluster": Broker(RedisQueue.capabilities, RedisHarness, "redis_cluster_url"),
    "nats": Broker(NATS, NatsHarness, "nats_url"),
    "postgres": Broker(POSTGRES, PostgresHarness, "queue_database_url"),
    "kafka": Broker(KafkaQueue.capabilities, KafkaHarness, "kafka_url", competing=False),
}


def able(*needs: str) -> Sequence[str]:
    """Name the adapters that have all these capabilities."""
    return [name for name, broker in BROKERS.items() if all(broker.can(need) for need in needs)]
