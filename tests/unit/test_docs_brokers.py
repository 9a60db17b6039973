"""The page about brokers says what the adapters say."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from shared.queue.kafka.capabilities import CAPABILITIES as KAFKA
from shared.queue.nats_jetstream.capabilities import CAPABILITIES as NATS
from shared.queue.port import Capabilities
from shared.queue.postgres.capabilities import CAPABILITIES as POSTGRES
from shared.queue.rabbitmq.capabilities import CAPABILITIES as RABBITMQ
from shared.queue.redis.capabilities import CAPABILITIES as REDIS

PAGE = (Path(__file__).parents[2] / "docs" / "brokers.md").read_text()
ADAPTERS = {
    "Redis": REDIS,
    "NATS": NATS,
    "Kafka": KAFKA,
    "RabbitMQ": RABBITMQ,
    "Postgres": POSTGRES,
}
NAMES = [name for name in Capabilities.__struct_fields__ if name != "why"]
A_PLACE = re.compile(r"\w\.(com|org|io)/|docs|javadoc|nats-server|ADR-|this adapter")


def test_the_table_of_capabilities_is_what_the_adapters_claim() -> None:
    assert _table("| beyond them |") == {
        name.replace("_", " "): {
            broker: "yes" if getattr(claims, name) else "no" for broker, claims in ADAPTERS.items()
        }
        for name in NAMES
    }


@pytest.mark.parametrize("broker", ADAPTERS)
def test_what_is_lacking_has_a_reason_with_its_place_in_the_documentation(broker: str) -> None:
    claims = ADAPTERS[broker]
    lacking = {name for name in NAMES if not getattr(claims, name)}
    assert lacking <= set(claims.why) <= set(NAMES)
    assert [name for name in claims.why if not A_PLACE.search(claims.why[name])] == []


def _table(head: str) -> Mapping[str, Mapping[str, str]]:
    lines = PAGE[PAGE.index(head) :].split("\n\n")[0].splitlines()
    _, *columns = _cells(lines[0])
    return {name: dict(zip(columns, cells, strict=True)) for name, *cells in map(_cells, lines[2:])}


def _cells(line: str) -> Sequence[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]
