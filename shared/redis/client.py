"""Connects to Redis or Valkey."""

from __future__ import annotations

from typing import Any

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from shared.errors import ConfigError

CONNECT_TIMEOUT_SECONDS = 5.0
ANSWER_TIMEOUT_SECONDS = 15.0
"""Longer than any blocking command of the suite, and than an fsync on a slow disk."""

_OPTIONS: dict[str, Any] = {
    "decode_responses": False,
    "protocol": 2,
    "socket_connect_timeout": CONNECT_TIMEOUT_SECONDS,
    "socket_timeout": ANSWER_TIMEOUT_SECONDS,
    "socket_keepalive": True,
}


def connect(url: str) -> redis.asyncio.Redis:
    """Return a client whose answers are bytes and which never repeats a command by itself.

    A repeated command may be carried out twice; only its caller knows whether that does harm.
    Connects at the first command. Raises ConfigError when the URL is not a Redis URL.
    """
    try:
        return redis.asyncio.Redis.from_url(url, retry=AsyncRetry(NoBackoff(), 0), **_OPTIONS)
    except ValueError:
        raise _not_a_url(url) from None


def connect_blocking(
    url: str, *, answer_timeout_seconds: float = ANSWER_TIMEOUT_SECONDS
) -> redis.Redis:
    """Return the same kind of client for a thread of its own. Raises as `connect`."""
    options = _OPTIONS | {"socket_timeout": answer_timeout_seconds}
    try:
        return redis.Redis.from_url(url, retry=Retry(NoBackoff(), 0), **options)
    except ValueError:
        raise _not_a_url(url) from None


def address_of(client: redis.Redis | redis.asyncio.Redis) -> str:
    """Return host:port, or the socket's path, for people: never user and password."""
    options = client.connection_pool.connection_kwargs
    return str(options.get("path") or f"{options.get('host')}:{options.get('port')}")


def _not_a_url(url: str) -> ConfigError:
    scheme = url.partition("://")[0] if "://" in url else "no scheme"
    return ConfigError(
        f"not a Redis URL ({scheme}); "
        "allowed are redis://[:password@]host:port/0, rediss://... and unix://path"
    )
