"""Starts a client of the library, and finds out why one does not start."""

from __future__ import annotations

import ssl

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, errors
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.conn import collect_hosts, create_conn

from shared.queue.kafka.address import Address
from shared.queue.kafka.faults import LASTING

_TORN = (ssl.SSLError, ConnectionResetError, errors.KafkaConnectionError)
"""How it looks when one side speaks TLS and the other does not, or when a server is stopped."""
_MISTAKEN = "; kafka+ssl:// is for listeners with TLS, kafka:// for those without"


async def start(
    client: AIOKafkaConsumer | AIOKafkaProducer | AIOKafkaAdminClient, address: Address
) -> None:
    """Start a client. Raises what the cluster has against it, which the library only logs."""
    try:
        await client.start()
    except errors.KafkaConnectionError:
        await _raise_reason(address)
        raise


async def _raise_reason(address: Address) -> None:
    """Raise what will not pass, such as a refused login, rather than what may."""
    reasons: list[Exception] = []
    for host, port, _ in collect_hosts(address.servers, randomize=False):
        try:
            (await create_conn(host, port, **address.connection())).close()
        except LASTING:
            raise
        except (errors.KafkaError, OSError) as error:
            reasons.append(error)
    for reason in reasons:
        if isinstance(reason, _TORN):
            raise errors.KafkaConnectionError(f"{reason}{_MISTAKEN}") from reason
        raise reason
