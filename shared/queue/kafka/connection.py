"""Mends the client's connections on uvloop, for all clients of this process.

A write to a connection that the server has just closed is silent on asyncio's loop, and raises
RuntimeError on uvloop's. The client knows only OSError there (aio-libs/aiokafka#1038): what wrote,
be it the heartbeat, the fetcher or the coordinator, would end for good.
"""

from __future__ import annotations

from typing import Any

from aiokafka import errors
from aiokafka.conn import AIOKafkaConnection, CloseReason

_send = AIOKafkaConnection.send


def _send_or_lose(self: Any, *request: Any, **options: Any) -> Any:
    try:
        return _send(self, *request, **options)
    except RuntimeError as error:
        self.close(reason=CloseReason.CONNECTION_BROKEN)
        raise errors.KafkaConnectionError(f"connection broken: {error}") from error


def mend() -> None:
    """Let every connection raise what the client expects; to do it twice changes nothing."""
    AIOKafkaConnection.send = _send_or_lose
