"""Commands are written in C, byte for byte as the library writes them in Python."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import redis.asyncio
from redis.exceptions import DataError

from shared.redis.client import connect, connect_blocking

COMMANDS: list[tuple[Any, ...]] = [
    ("PING",),
    ("CLIENT SETINFO", "LIB-NAME", "é"),
    ("EVALSHA", "a" * 40, 2, "{q}:jobs", b"\x00\xff\r\n", 0, -7, 2.5, "", b""),
    ("SET", "k", b"x" * 100_000, bytearray(b"y"), memoryview(b"z")),
]


@pytest.mark.parametrize("url", ["redis://h", "rediss://h", "unix:///s"])
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
async def test_bytes_are_those_of_the_library(url: str, command: tuple[Any, ...]) -> None:
    ours = connect(url).connection_pool.make_connection()
    theirs = redis.asyncio.Redis.from_url(url).connection_pool.make_connection()
    assert isinstance(ours, type(theirs))
    packed = ours.pack_command(*command)
    assert b"".join(packed) == b"".join(map(bytes, theirs.pack_command(*command)))
    assert len(packed) == 1


async def test_what_cannot_be_sent_is_said() -> None:
    connection = connect("redis://h").connection_pool.make_connection()
    with pytest.raises(DataError):
        connection.pack_command("SET", "k", object())


@pytest.mark.parametrize("kind", [connect, connect_blocking])
def test_a_connection_does_not_look_for_the_version_of_the_library(
    kind: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It reads installed files, which takes longer than to connect."""
    looked: list[str] = []
    monkeypatch.setattr("importlib.metadata.version", lambda name: looked.append(name) or "1")
    kind("redis://h").connection_pool.make_connection()
    assert looked == []


@pytest.mark.parametrize("url", ["redis://h", "rediss://h", "unix:///s"])
def test_blocking_clients_take_the_same_urls(url: str) -> None:
    assert connect_blocking(url).connection_pool.make_connection()


@pytest.mark.parametrize(("size", "timers"), [(100, 0), (1_000_000, 1)])
async def test_only_what_may_have_to_wait_is_written_with_a_timer(
    monkeypatch: pytest.MonkeyPatch, size: int, timers: int
) -> None:
    arrived = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(size)
        arrived.set()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    pool = connect(f"redis://127.0.0.1:{port}").connection_pool
    connection = pool.connection_class(**pool.connection_kwargs)
    await connection._connect()
    waits: list[float | None] = []

    async def wait_for(awaitable: Any, seconds: float | None) -> Any:
        waits.append(seconds)
        return await awaitable

    with monkeypatch.context() as patch:
        patch.setattr(asyncio, "wait_for", wait_for)
        await connection.send_packed_command([b"x" * size])
    async with asyncio.timeout(10):
        await arrived.wait()
    assert len(waits) == timers
    await connection.disconnect()
    server.close()
