"""What the suite needs to know of a Redis server before it trusts it with work."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast
from uuid import uuid4

import msgspec
import redis.asyncio

from shared.errors import DependencyError
from shared.observability.logs import get_logger
from shared.redis.client import address_of, is_cluster
from shared.redis.faults import translated

OLDEST_VERSION = (6, 2)
"""BLMOVE, ZMSCORE and RPOP with a count."""

INCARNATION_KEY = "worker-suite:incarnation"

_log = get_logger(__name__)


class ServerState(msgspec.Struct, frozen=True):
    """Settings of a server that decide whether it can lose work."""

    version: str
    eviction_policy: str
    append_only: bool
    """Without it a restart loses everything since the last snapshot."""


async def check_server(client: redis.asyncio.Redis, *, allow_eviction: bool = False) -> ServerState:
    """Look at the server's settings, or a cluster's primaries'; warn of what loses work.

    Uses INFO only, which hosted servers allow where they forbid CONFIG. Raises DependencyError
    when the server is too old, or may evict keys and `allow_eviction` is off;
    ConnectionLostError when it cannot be reached.
    """
    address = address_of(client)
    with translated(address):
        states = {node: _state(info) for node, info in (await _everything(client, address)).items()}
    for node, state in states.items():
        _refuse_old(state, node)
        _refuse_eviction(state, node, allow_eviction)
        if not state.append_only:
            _log.warning("redis_without_append_only", address=node, lost="since the last snapshot")
    return next(iter(states.values()))


async def incarnation(client: redis.asyncio.Redis, beside: str = "") -> str:
    """Return a name for this life of the server's data; another name means jobs may be missing.

    Made of a key that the suite keeps (gone when the data is gone) and of the replication id
    (another after a failover or a restart). In a cluster it is that of the node which has the
    hash tag of `beside`. Raises ConnectionLostError.
    """
    key, where = INCARNATION_KEY, {}
    with translated(address_of(client)):
        if is_cluster(client):
            key = f"{beside}{INCARNATION_KEY}"
            nodes: Any = await client.initialize()
            where = {"target_nodes": nodes.get_node_from_key(key)}
        kept: Any = await client.get(key)
        if kept is None:  # a full server could not even try to set it
            await client.set(key, uuid4().hex, nx=True)
            kept = await client.get(key)
        replication = await client.info("replication", **where)
    return f"{(kept or b'').decode()}-{replication.get('master_replid', '')}"


async def _everything(client: redis.asyncio.Redis, address: str) -> Mapping[str, Any]:
    """Return what INFO says, by server."""
    if not is_cluster(client):
        return {address: await client.info("everything")}
    nodes: Any = await client.initialize()
    told: Any = await nodes.info("everything", target_nodes=nodes.PRIMARIES)
    return cast("Mapping[str, Any]", told)


def _state(info: Mapping[str, Any]) -> ServerState:
    return ServerState(
        version=str(info.get("redis_version", "unknown")),
        eviction_policy=str(info.get("maxmemory_policy", "noeviction")),
        append_only=bool(info.get("aof_enabled")),
    )


def _refuse_old(state: ServerState, address: str) -> None:
    numbers = tuple(int(part) for part in state.version.split(".")[:2] if part.isdigit())
    if len(numbers) == 2 and numbers < OLDEST_VERSION:
        oldest = ".".join(map(str, OLDEST_VERSION))
        raise DependencyError(
            f"Redis at {address} has version {state.version}; {oldest} or later is needed"
        )


def _refuse_eviction(state: ServerState, address: str, allow_eviction: bool) -> None:
    if state.eviction_policy == "noeviction":
        return
    if not allow_eviction:
        raise DependencyError(
            f"Redis at {address} may evict jobs: maxmemory-policy is {state.eviction_policy}. "
            "Set it to noeviction, or set ALLOW_EVICTION=true to run at your own risk."
        )
    _log.warning("redis_may_evict_jobs", address=address, policy=state.eviction_policy)
