"""Looks at a Kafka cluster, and changes nothing."""

from __future__ import annotations

from shared.errors import ConnectionLostError, DependencyError
from shared.queue.kafka.address import read_address
from shared.queue.kafka.reader import Reader
from shared.queue.kafka.topics import topics_of
from shared.queue.server_report import ServerReport


async def look(url: str) -> ServerReport:
    """Return what the cluster tells, which is not its version. Raises DependencyError when it
    does not answer."""
    address = read_address(url)
    reader = Reader(address, topics_of("doctor"))
    try:
        await reader.cluster_id()
    except ConnectionLostError as error:
        raise DependencyError(str(error)) from error
    finally:
        await reader.close()
    unseen = "min.insync.replicas=2 and replication=3, or log.flush.interval.messages=1"
    return ServerReport(where=address.servers, unseen=unseen)
