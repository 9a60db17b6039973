"""Looks at a RabbitMQ server, and changes nothing."""

from __future__ import annotations

from aiormq.connection import Connection

from shared.errors import ConnectionLostError, DependencyError
from shared.queue.rabbitmq.connection import address_of, checked_url, connect
from shared.queue.server_report import ServerReport

_LEASE_SECONDS = 30.0
_UNSEEN = "how many nodes have copies of a quorum queue: with one, its disk is all there is"


async def look(url: str) -> ServerReport:
    """Return what the server tells. Raises DependencyError when it cannot be used."""
    try:
        connection = await connect(checked_url(url), _LEASE_SECONDS)
    except ConnectionLostError as error:
        raise DependencyError(str(error)) from error
    assert isinstance(connection, Connection)
    version = connection.server_properties.get("version", "")
    await connection.close()
    text = version.decode() if isinstance(version, bytes) else str(version)
    where = address_of(url).removeprefix("RabbitMQ at ")
    return ServerReport(where=where, version=text, unseen=_UNSEEN)
