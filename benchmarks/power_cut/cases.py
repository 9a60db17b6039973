"""The servers and the durability settings that are compared."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from benchmarks.power_cut.clients import Client, QueueClient, TableClient
from shared.embedded.postgres import PostgresServer
from shared.embedded.valkey import ValkeyServer
from tests.services.kafka import Kafka
from tests.services.nats import Nats
from tests.services.rabbitmq import RabbitMQ

_FLUSH = "log.flush.interval.messages"


class Server(Protocol):
    """A server whose files all lie in one directory."""

    @property
    def url(self) -> str:
        """How its client connects."""
        ...

    def start(self) -> None:
        """Start it and return when it serves."""
        ...

    def kill(self) -> None:
        """End it at once."""
        ...


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One server with one durability setting."""

    server: str
    setting: str
    safe: bool
    """Whether we promise that nothing acknowledged is lost with it."""
    make: Callable[[Path], Server]
    client: Callable[[], Client] = QueueClient


class RedisServer(ValkeyServer):
    """Redis of the distribution, or Valkey of its wheel, with a setting of `appendfsync`."""

    def __init__(self, data: Path, appendfsync: str) -> None:
        program = shutil.which("redis-server")
        super().__init__(data, program=Path(program) if program else None)
        self._appendfsync = appendfsync

    def _options(self) -> list[str]:
        return [*super()._options(), "--appendfsync", self._appendfsync]


def _redis(appendfsync: str, *, safe: bool) -> Case:
    return Case(
        server="redis",
        setting=f"appendfsync {appendfsync}",
        safe=safe,
        make=lambda data: RedisServer(data, appendfsync),
    )


def _postgres(synchronous_commit: str, *, safe: bool) -> Case:
    return Case(
        server="postgres",
        setting=f"synchronous_commit {synchronous_commit}",
        safe=safe,
        make=lambda data: PostgresServer(data, options={"synchronous_commit": synchronous_commit}),
        client=TableClient,
    )


def _nats(sync_interval: str, *, safe: bool) -> Case:
    def make(data: Path) -> Server:
        data.mkdir(parents=True)
        return Nats(data, sync=sync_interval)

    return Case(server="nats", setting=f"sync_interval {sync_interval}", safe=safe, make=make)


def _kafka(setting: str, *, safe: bool, **settings: str) -> Case:
    return Case(
        server="kafka",
        setting=setting,
        safe=safe,
        make=lambda data: Kafka(data, settings=settings),
    )


CASES: Sequence[Case] = (
    _redis("always", safe=True),
    _redis("everysec", safe=False),
    _redis("no", safe=False),
    _nats("always", safe=True),
    _nats("2m", safe=False),  # the default
    _kafka(f"{_FLUSH}=1", safe=True, **{_FLUSH: "1"}),
    _kafka("one broker, its defaults", safe=False),
    Case(server="rabbitmq", setting="quorum queue", safe=True, make=RabbitMQ),
    _postgres("on", safe=True),
    _postgres("off", safe=False),
)
