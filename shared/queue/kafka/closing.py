"""Ends a client of the library, in whatever state it is."""

from __future__ import annotations

import asyncio

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

GOODBYE_SECONDS = 2.0
"""How long a cluster may take to hear that a client leaves; it would find out by itself."""


async def stop(client: AIOKafkaConsumer | AIOKafkaProducer) -> None:
    """Stop a client and close its connections, also when the cluster does not answer.

    In a task of its own: the library's stop may end in the cancellation of a request of its own,
    and would take ours for it.
    """
    stopping = asyncio.create_task(client.stop())
    try:
        await asyncio.wait([stopping], timeout=GOODBYE_SECONDS)
    finally:
        stopping.cancel()
        await asyncio.gather(stopping, return_exceptions=True)
        connections = client.client if isinstance(client, AIOKafkaProducer) else client._client
        await connections.close()
