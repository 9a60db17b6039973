"""Looks at a NATS server, and changes nothing."""

from __future__ import annotations

from shared.errors import ConnectionLostError, DependencyError
from shared.queue.nats_jetstream.address import Address
from shared.queue.nats_jetstream.session import Session
from shared.queue.nats_jetstream.streams import refuse_old, succeeded
from shared.queue.server_report import ServerReport

_UNSEEN = "whether sync_interval is always, without which a power cut loses acknowledged jobs"


async def look(url: str) -> ServerReport:
    """Return what the server tells. Raises DependencyError when no queue can be opened on it."""
    address = Address(url)
    session = Session(address)
    try:
        await session.connect()
        refuse_old(session)
        succeeded(await session.api("INFO"))
        version = ".".join(map(str, session.server_version))
    except ConnectionLostError as error:
        raise DependencyError(str(error)) from error
    finally:
        await session.close()
    return ServerReport(where=str(address), version=version, unseen=_UNSEEN)
