"""The brokers of the ledger, each at the durability setting that its adapter calls safe."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

import msgspec

from benchmarks.ledger.settings import MAX_CRASHES, SLOTS
from shared.embedded.postgres import PostgresServer
from shared.embedded.valkey import ValkeyServer
from tests.services.kafka import Kafka
from tests.services.nats import Nats
from tests.services.rabbitmq import RabbitMQ


class Server(Protocol):
    """A broker that can be crashed and started again: same address, same data."""

    @property
    def url(self) -> str:
        """What create_queue takes."""
        ...

    def start(self) -> None:
        """Start it and return when it serves."""
        ...

    def kill(self) -> None:
        """End it at once (SIGKILL)."""
        ...


class Broker(msgspec.Struct, frozen=True, kw_only=True):
    """How a broker is started, and what one worker of it may have unsettled at once."""

    make: Callable[[Path, int], Server]
    """Given its directory, and the port of a proxy that it must name to whoever comes through."""
    behind_proxy: Callable[[Server], str] = lambda server: server.url
    """Where the proxy finds it."""
    in_flight: int = 2 * SLOTS
    """What an exchange settles and what it claims; where it does both at once, only as much as
    there are slots."""
    unwritten_seconds: float = 0.0
    """How long before the end of its server a settlement may have come that it never wrote down."""
    on_its_way: int = 1
    """How many crashes of a job may come from workers that never started it: one, since a suspect
    is sent alone, at most, unless the broker counts whatever a lost connection returns."""


class DurableRedis(ValkeyServer):
    """Redis of the distribution, or Valkey of its wheel; syncs before it answers."""

    def __init__(self, data: Path) -> None:
        program = shutil.which("redis-server")
        super().__init__(data, program=Path(program) if program else None)

    def _options(self) -> list[str]:
        return [*super()._options(), "--appendfsync", "always"]


def _redis(data: Path, _proxy: int) -> Server:
    return DurableRedis(data)


def _nats(data: Path, _proxy: int) -> Server:
    data.mkdir(parents=True)
    return Nats(data)  # syncs always


def _kafka(data: Path, proxy: int) -> Server:
    return Kafka(data, proxied=proxy)


def _kafka_behind_proxy(server: Server) -> str:
    assert isinstance(server, Kafka)
    return server.url.replace(f":{server.port}", f":{server.proxied_port}")


def _rabbitmq(data: Path, _proxy: int) -> Server:
    return RabbitMQ(data)  # quorum queues sync before they confirm


def _postgres(data: Path, _proxy: int) -> Server:
    return PostgresServer(data)  # fsync and synchronous_commit are on


BROKERS: Mapping[str, Broker] = {
    "redis": Broker(make=_redis, in_flight=SLOTS),
    # It writes the acks of a consumer down ten times a second, and the disk takes its time.
    "nats": Broker(make=_nats, unwritten_seconds=0.5),
    "kafka": Broker(make=_kafka, behind_proxy=_kafka_behind_proxy),
    "rabbitmq": Broker(make=_rabbitmq, on_its_way=MAX_CRASHES),
    "postgres": Broker(make=_postgres, in_flight=SLOTS),
}
