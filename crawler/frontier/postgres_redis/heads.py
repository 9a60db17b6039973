"""The frontier's heads in Redis: who may be asked now. Every decision is one Lua script."""

from __future__ import annotations

import math
from collections.abc import Sequence
from importlib.resources import files
from typing import Any
from uuid import uuid4
from zlib import crc32

import msgspec
import redis.asyncio

from crawler.frontier.port import HostReport
from shared.redis.client import address_of
from shared.redis.faults import translated

SHARDS = 16
"""Fixed: another number would find no host where it was."""


class Grant(msgspec.Struct, frozen=True, array_like=True):
    """Leave to send one request."""

    token: str
    entry: str


class Answer(msgspec.Struct, frozen=True, array_like=True):
    """What exchange.lua packs."""

    refused: Sequence[str]
    grants: Sequence[Grant]
    granted_ms: float
    next_ms: float
    """0 when no host waits."""
    stale_shards: int


class Exchanged(msgspec.Struct, frozen=True):
    """An answer, and the server's time when it was given (again)."""

    answer: Answer
    now_ms: float


class Feed(msgspec.Struct, frozen=True, kw_only=True):
    """Claimed URLs of one host on their way into its head."""

    incarnation: str
    host: str
    delay_seconds: float
    hold_seconds: float | None
    """Ask nothing for so long after the incarnation began; None when nobody asked before it."""
    blocked_seconds: float
    entries: Sequence[tuple[str, bytes]]
    """Members (KEY:EPOCH) and targets."""


def shard_of(host: str) -> int:
    """Return the shard that keeps a host."""
    return crc32(host.encode()) % SHARDS


def script_text(name: str) -> str:
    """Return a script with the functions that all share."""
    directory = files("crawler.frontier.postgres_redis") / "lua"
    return "\n".join(
        (directory / part).read_text("utf-8") for part in ("prelude.lua", f"{name}.lua")
    )


def shard_prefixes(prefix: str) -> list[str]:
    """Return the key prefixes of all shards; each has a slot of its own in a cluster."""
    return [f"{{{prefix}:{number}}}" for number in range(SHARDS)]


def milliseconds(seconds: float) -> int:
    """Round up: never shorter than asked for."""
    return math.ceil(seconds * 1000)


class RedisHeads:
    """Calls the scripts. Raises ConnectionLostError and DependencyError, as the ports say."""

    def __init__(self, client: redis.asyncio.Redis, prefix: str) -> None:
        """Use `client` (see shared.redis.client.connect) for keys that begin with `prefix`."""
        self._client = client
        self._address = address_of(client)
        self.prefixes = shard_prefixes(prefix)
        names = ("exchange", "release", "enter", "feed", "reap", "lengthen")
        self._scripts = {name: client.register_script(script_text(name)) for name in names}

    async def exchange(
        self,
        consumer: str,
        call: int,
        settled: Sequence[tuple[str, str]],
        want: int,
        lease_seconds: float,
        first_shard: int,
    ) -> Exchanged:
        """Settle (verb, token) pairs and take up to `want` grants; repeatable by call number."""
        arguments = [consumer, call, want, milliseconds(lease_seconds), first_shard]
        for verb, token in settled:
            arguments += [verb, token]
        now, packed = await self._run("exchange", self.prefixes, arguments)
        return Exchanged(msgspec.msgpack.decode(packed, type=Answer, strict=False), float(now))

    async def release(self, reports: Sequence[HostReport]) -> None:
        """Let hosts be asked again, in time."""
        arguments: list[Any] = []
        for report in reports:
            since = report.since_start_seconds
            arguments.append(report.token)
            arguments.append(-1 if since < 0 else math.floor(since * 1000))
            arguments.append(milliseconds(report.block_seconds))
        await self._run("release", self.prefixes, arguments)

    async def enter(self) -> list[str]:
        """Begin new incarnations where Redis is not the one we knew; return all shards'."""
        fresh = [f"{number}:{uuid4().hex}" for number in range(SHARDS)]
        return [name.decode() for name in await self._run("enter", self.prefixes, fresh)]

    async def feed(self, feed: Feed) -> bool:
        """Put URLs into a head; False when the incarnation has changed."""
        hold = -1 if feed.hold_seconds is None else milliseconds(feed.hold_seconds)
        arguments: list[Any] = [feed.incarnation, feed.host, milliseconds(feed.delay_seconds)]
        arguments += [hold, milliseconds(feed.blocked_seconds)]
        for member, entry in feed.entries:
            arguments += [member, entry]
        return bool(await self._run("feed", [self._prefix(feed.host)], arguments))

    async def reap(self, limit: int) -> list[tuple[bytes, int]]:
        """Take back expired leases; return their (key, epoch)."""
        members = await self._run("reap", self.prefixes, [limit])
        return [split_member(member.decode()) for member in members]

    async def lengthen(self, host: str, delay_seconds: float) -> None:
        """Raise the delay of a host that is being asked."""
        await self._run("lengthen", [self._prefix(host)], [host, milliseconds(delay_seconds)])

    async def lengths(self, hosts: Sequence[str]) -> list[int]:
        """Return how many URLs wait in each host's head."""
        with translated(self._address):
            async with self._client.pipeline(transaction=False) as pipeline:
                for host in hosts:
                    pipeline.llen(f"{self._prefix(host)}:head:{host}")
                return [int(length) for length in await pipeline.execute()]

    async def knows(self, members: Sequence[tuple[str, str]]) -> list[bool]:
        """Tell for each (host, member) whether it is in a head or leased."""
        with translated(self._address):
            async with self._client.pipeline(transaction=False) as pipeline:
                for host, member in members:
                    pipeline.hexists(f"{self._prefix(host)}:entries", member)
                return [bool(known) for known in await pipeline.execute()]

    async def in_flight_and_waiting(self) -> tuple[int, int]:
        """Return how many leases are out, and how many hosts wait for their time."""
        with translated(self._address):
            seconds, micro = await self._client.time()
            async with self._client.pipeline(transaction=False) as pipeline:
                for prefix in self.prefixes:
                    pipeline.zcard(f"{prefix}:leases")
                    pipeline.zcount(f"{prefix}:ready", f"({seconds * 1000 + micro // 1000}", "inf")
                counts = await pipeline.execute()
        return sum(counts[::2]), sum(counts[1::2])

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    def _prefix(self, host: str) -> str:
        return self.prefixes[shard_of(host)]

    async def _run(self, name: str, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        with translated(self._address):
            return await self._scripts[name](keys=keys, args=arguments)


def member_of(url_key: str, epoch: int) -> str:
    """Name a claim of a row."""
    return f"{url_key}:{epoch}"


def split_member(member: str) -> tuple[bytes, int]:
    """Return (key, epoch) of a member."""
    key, _, epoch = member.partition(":")
    return bytes.fromhex(key), int(epoch)
