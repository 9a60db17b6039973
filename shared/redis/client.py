"""Connects to Redis or Valkey."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.connection import HiredisRespSerializer
from redis.retry import Retry

from shared.errors import ConfigError

CONNECT_TIMEOUT_SECONDS = 5.0
ANSWER_TIMEOUT_SECONDS = 15.0
"""Longer than any blocking command of the suite, and than an fsync on a slow disk."""
WRITE_AT_ONCE_BYTES = 32 * 1024
"""What a connection takes without making its writer wait; the loops hold back twice as much."""

CLUSTER_SCHEMES = {"redis+cluster": "redis", "rediss+cluster": "rediss"}
"""Of the URL of any node of a Redis Cluster; the others are found through it."""

_OPTIONS: dict[str, Any] = {
    "decode_responses": False,
    "protocol": 2,
    "socket_connect_timeout": CONNECT_TIMEOUT_SECONDS,
    "socket_timeout": ANSWER_TIMEOUT_SECONDS,
}
if hasattr(redis, "DriverInfo"):  # since 7.2
    # Else each client reads the library's version from its installed files, to tell the server.
    _OPTIONS["driver_info"] = None


def connect(url: str) -> redis.asyncio.Redis:
    """Return a client whose answers are bytes and which never repeats a command by itself.

    A repeated command may be carried out twice; only its caller knows whether that does harm.
    Connects at the first command. For a cluster it is a RedisCluster, which sends each command to
    the node that has its keys. Raises ConfigError when the URL is not a Redis URL.
    """
    once = AsyncRetry(NoBackoff(), 0)
    try:
        if (plain := _of_cluster(url)) is None:
            client = redis.asyncio.Redis.from_url(url, retry=once, **_options(url))
            pool = client.connection_pool
            pool.connection_class = _packing_fast(pool.connection_class)
            return client
        from redis.asyncio.cluster import RedisCluster

        return cast(
            "redis.asyncio.Redis", RedisCluster.from_url(plain, retry=once, **_options(plain))
        )
    except ValueError:
        raise _not_a_url(url) from None


def connect_blocking(
    url: str, *, answer_timeout_seconds: float = ANSWER_TIMEOUT_SECONDS
) -> redis.Redis:
    """Return the same kind of client for a thread of its own, made at once for a cluster.

    Raises as `connect`, and for a cluster whatever its client raises when no node answers.
    """
    once = Retry(NoBackoff(), 0)
    options = _options(url) | {"socket_timeout": answer_timeout_seconds}
    try:
        if (plain := _of_cluster(url)) is None:
            return redis.Redis.from_url(url, retry=once, **options)
        from redis.cluster import RedisCluster

        return cast("redis.Redis", RedisCluster.from_url(plain, retry=once, **options))
    except ValueError:
        raise _not_a_url(url) from None


def is_cluster(client: redis.Redis | redis.asyncio.Redis) -> bool:
    """Tell whether a client of `connect` talks to a cluster."""
    return not hasattr(client, "connection_pool")


def address_of(client: redis.Redis | redis.asyncio.Redis) -> str:
    """Return host:port, or the socket's path, for people: never user and password."""
    if is_cluster(client):
        nodes: Any = client
        return "the cluster of " + ", ".join(nodes.nodes_manager.startup_nodes)
    options = client.connection_pool.connection_kwargs
    return str(options.get("path") or f"{options.get('host')}:{options.get('port')}")


def _options(url: str) -> dict[str, Any]:
    return _OPTIONS if url.startswith("unix:") else _OPTIONS | {"socket_keepalive": True}


class _PacksFast:
    """Writes commands in C; the library does so by itself only in its blocking client.

    And writes them at once as long as they fit: the library makes a task and a timer for each.
    """

    _packer = HiredisRespSerializer()
    _writer: asyncio.StreamWriter | None

    def pack_command(self, *args: Any) -> list[bytes]:
        return self._packer.pack(*args)  # type: ignore[no-any-return]

    async def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        if self._writer is not None and isinstance(command, list):
            transport = self._writer.transport
            size = transport.get_write_buffer_size() + sum(map(len, command))
            if size <= WRITE_AT_ONCE_BYTES and not transport.is_closing():
                self._writer.writelines(command)
                return
        await super().send_packed_command(command, check_health)  # type: ignore[misc]


def _packing_fast(kind: type[Any]) -> type[Any]:
    return type(kind.__name__, (_PacksFast, kind), {})


def _of_cluster(url: str) -> str | None:
    scheme, separator, rest = url.partition("://")
    plain = CLUSTER_SCHEMES.get(scheme)
    return f"{plain}{separator}{rest}" if plain else None


def _not_a_url(url: str) -> ConfigError:
    scheme = url.partition("://")[0] if "://" in url else "no scheme"
    return ConfigError(
        f"not a Redis URL ({scheme}); "
        "allowed are redis://[:password@]host:port/0, rediss://..., unix://path "
        "and redis+cluster://host:port"
    )
