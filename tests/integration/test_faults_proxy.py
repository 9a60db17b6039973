"""The proxy does to connections what it says, and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from tests.faults.proxy import Proxy, _Connection

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Connect = Callable[[Proxy], Awaitable[Connection]]


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while line := await reader.readline():
        writer.write(line)
    writer.close()


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    """A proxy before a server that says everything again."""
    server = await asyncio.start_server(_echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with Proxy(f"echo://user:word@127.0.0.1:{port}/path") as proxy:
        yield proxy
    server.close()


@pytest.fixture
async def connected() -> AsyncIterator[Connect]:
    """Connects, and closes what it connected at the end."""
    made: list[asyncio.StreamWriter] = []

    async def connect(proxy: Proxy) -> Connection:
        connection = await asyncio.open_connection("127.0.0.1", proxy.port)
        made.append(connection[1])
        return connection

    yield connect
    for writer in made:
        writer.close()


async def said(connection: Connection, line: bytes) -> bytes:
    connection[1].write(line)
    return await connection[0].readline()


async def test_what_is_said_passes_both_ways(proxy: Proxy, connected: Connect) -> None:
    assert proxy.url == f"echo://user:word@127.0.0.1:{proxy.port}/path"
    first, second = await connected(proxy), await connected(proxy)
    long_line = b"x" * 60_000 + b"\n"
    assert await said(first, long_line) == long_line
    assert await said(second, b"b\n") == b"b\n"
    assert (proxy.open_connections, proxy.accepted) == (2, 2)


async def test_a_connection_that_its_client_ends_is_forgotten(
    proxy: Proxy, connected: Connect
) -> None:
    reader, writer = await connected(proxy)
    await said((reader, writer), b"a\n")
    writer.close()
    async with asyncio.timeout(5):
        while proxy.open_connections:
            await asyncio.sleep(0.005)


async def test_a_cut_closes_what_there_is_and_no_later_connection(
    proxy: Proxy, connected: Connect
) -> None:
    before = await connected(proxy)
    await said(before, b"a\n")
    await proxy.cut()
    assert await before[0].read() == b"", "an orderly end"
    assert await said(await connected(proxy), b"b\n") == b"b\n"


async def test_a_reset_breaks_the_connection_without_an_end(
    proxy: Proxy, connected: Connect
) -> None:
    before = await connected(proxy)
    await said(before, b"a\n")
    await proxy.reset()
    with pytest.raises(ConnectionResetError):
        await before[0].read()
    assert await said(await connected(proxy), b"b\n") == b"b\n"


async def test_a_stalled_connection_is_open_and_silent_until_it_flows(
    proxy: Proxy, connected: Connect
) -> None:
    before = await connected(proxy)
    await said(before, b"a\n")
    proxy.stall()
    late = asyncio.create_task(said(before, b"b\n"))
    fresh = asyncio.create_task(said(await connected(proxy), b"c\n"))
    await asyncio.wait([late, fresh], timeout=0.1)
    assert not late.done()
    assert not fresh.done(), "a new connection is accepted, and as silent"
    proxy.flow()
    assert (await late, await fresh) == (b"b\n", b"c\n")


async def test_an_abandoned_connection_stays_silent_and_new_ones_work(
    proxy: Proxy, connected: Connect
) -> None:
    before = await connected(proxy)
    await said(before, b"a\n")
    proxy.abandon()
    unheard = asyncio.create_task(said(before, b"b\n"))
    assert await said(await connected(proxy), b"c\n") == b"c\n"
    proxy.flow()
    await asyncio.wait([unheard], timeout=0.1)
    assert not unheard.done()
    await proxy.cut()
    with contextlib.suppress(ConnectionResetError):  # what the system makes of unread bytes
        assert await unheard == b""


async def test_a_stalled_connection_can_be_cut(proxy: Proxy, connected: Connect) -> None:
    before = await connected(proxy)
    await said(before, b"a\n")
    proxy.stall()
    before[1].write(b"b\n")
    await proxy.cut()
    with contextlib.suppress(ConnectionResetError):  # what the system makes of unread bytes
        assert await before[0].read() == b""
    assert proxy.open_connections == 0


async def test_while_it_refuses_no_new_connection_is_made(proxy: Proxy, connected: Connect) -> None:
    before = await connected(proxy)
    await proxy.refuse()
    with pytest.raises(ConnectionRefusedError):
        await connected(proxy)
    assert await said(before, b"a\n") == b"a\n", "those there are go on"
    port = proxy.port
    await proxy.accept()
    assert proxy.port == port
    assert await said(await connected(proxy), b"b\n") == b"b\n"


async def test_latency_is_added_each_way(proxy: Proxy, connected: Connect) -> None:
    loop = asyncio.get_running_loop()
    proxy.latency_seconds = 0.05
    connection = await connected(proxy)
    before = loop.time()
    assert await said(connection, b"a\n") == b"a\n"
    assert loop.time() - before >= 0.1


async def test_a_chosen_answer_is_lost_with_its_connection(
    proxy: Proxy, connected: Connect
) -> None:
    proxy.drop_answer = lambda request, answer: request == answer == b"secret\n"
    connection = await connected(proxy)
    assert await said(connection, b"a\n") == b"a\n"
    assert await said(connection, b"secret\n") == b""
    assert await said(await connected(proxy), b"b\n") == b"b\n"


async def test_a_server_that_is_away_ends_the_connection(proxy: Proxy, connected: Connect) -> None:
    async with Proxy("echo://127.0.0.1:1") as before_nothing:
        reader, _ = await connected(before_nothing)
        assert await reader.read() == b""


async def test_a_reset_passes_by_a_side_that_has_gone_itself(
    proxy: Proxy, connected: Connect
) -> None:
    """Between its end and the proxy's hearing of it."""
    _, writer = await connected(proxy)
    connection = _Connection(writer, asyncio.Event())
    writer.close()
    await writer.wait_closed()
    connection.reset()
    assert writer.get_extra_info("socket").fileno() == -1
