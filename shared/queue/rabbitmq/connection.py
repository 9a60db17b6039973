"""Opens connections, and translates the client library's errors."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import aiormq
from aiormq import exceptions as faults
from aiormq.abc import AbstractConnection
from yarl import URL

from shared.errors import ConfigError, ConnectionLostError, DependencyError

CONNECT_SECONDS = 10.0
SHORTEST_HEARTBEAT_SECONDS = 1

# What goes wrong is raised, and logged by whoever handles it; the library would say it twice.
logging.getLogger("aiormq").setLevel(logging.CRITICAL)

_REFUSED = (
    faults.AuthenticationError,
    faults.ProbableAuthenticationError,
    faults.ConnectionNotAllowed,
    faults.ChannelAccessRefused,
    faults.ChannelPreconditionFailed,
    faults.ChannelLockedResource,
)
_LOST = (
    faults.AMQPError,
    faults.ChannelInvalidStateError,
    OSError,
    TimeoutError,
    RuntimeError,  # how the library says that a connection was closed a moment ago
)


def checked_url(url: str) -> str:
    """Return the URL; raises ConfigError for one that names no host or no one virtual host."""
    parts = urlsplit(url)
    try:
        good = bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise ConfigError(
            "the RabbitMQ URL names no host or no port: use amqp://user:password@host:5672/vhost, "
            "and write / # ? @ inside of a password as %2F %23 %3F %40"
        )
    if "/" in parts.path.removeprefix("/"):
        raise ConfigError(
            "the RabbitMQ URL has a slash in its virtual host: "
            "write a slash inside of the name as %2F"
        )
    return url


def address_of(url: str) -> str:
    """Return host, port and virtual host, without secrets."""
    parts = urlsplit(url)
    port = parts.port or (5671 if parts.scheme == "amqps" else 5672)
    return f"RabbitMQ at {parts.hostname}:{port}{parts.path}"


async def connect(url: str, lease_seconds: float) -> AbstractConnection:
    """Open a connection that the broker gives up within a lease after its peer fell silent."""
    heartbeat = max(SHORTEST_HEARTBEAT_SECONDS, int(lease_seconds / 2))
    target = URL(url)
    if "heartbeat" not in target.query:
        target = target.update_query(heartbeat=heartbeat)
    with translated(address_of(url)):
        async with asyncio.timeout(CONNECT_SECONDS):
            return await aiormq.connect(target)


@contextmanager
def translated(address: str) -> Iterator[None]:
    """Raise DependencyError for what will not pass by itself, else ConnectionLostError."""
    try:
        yield
    except _REFUSED as error:
        raise DependencyError(f"{address} refuses: {_reason(error)}") from error
    except faults.PublishError as error:
        raise ConnectionLostError(f"{address}: a queue is gone, and is declared anew") from error
    except faults.DeliveryError as error:
        # A queue without a leader or over its length says so; what it refused is sent again.
        raise ConnectionLostError(f"{address} does not take the message now: {error}") from error
    except _LOST as error:
        raise ConnectionLostError(f"{address}: {_reason(error)}") from error
    except Exception as error:
        if type(error) is not Exception:
            raise
        # What the library leaves of a request whose channel was closed.
        raise ConnectionLostError(f"{address}: the connection was closed") from error
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        # The library cancels what waits for a connection that is closed.
        raise ConnectionLostError(f"{address}: the connection was closed") from error


def _reason(error: BaseException) -> str:
    return " ".join(str(part) for part in error.args) or type(error).__name__
