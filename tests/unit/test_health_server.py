"""The HTTP server of /metrics, /health and /debug holds its bounds."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus

import pytest

from shared.errors import DependencyError
from shared.observability import health
from shared.observability.health import BadQueryError, HealthServer, Response
from shared.supervisor.routes import debug_routes, probe_all


async def hello(query: Mapping[str, str]) -> Response:
    return Response(f"hello {query.get('name', '')}".encode())


async def bad(query: Mapping[str, str]) -> Response:
    raise BadQueryError("seconds=x: a number")


async def broken(query: Mapping[str, str]) -> Response:
    raise RuntimeError("secret detail")


ROUTES = {"/hello": hello, "/bad": bad, "/broken": broken, "/debug/x": hello}


@asynccontextmanager
async def serving(routes=ROUTES) -> AsyncIterator[HealthServer]:
    server = HealthServer(routes)
    await server.listen("127.0.0.1", 0)
    try:
        yield server
    finally:
        server.close()


async def ask(server: HealthServer, request: bytes) -> tuple[int, str]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(request)
    async with asyncio.timeout(10):
        answer = await reader.read(-1)
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]) if head else 0, body.decode()


@pytest.mark.parametrize(
    ("request_bytes", "status", "text"),
    [
        (b"GET /hello?name=you HTTP/1.1\r\nHost: x\r\n\r\n", 200, "hello you"),
        (b"GET /debug/x HTTP/1.1\r\n\r\n", 200, "hello"),
        (b"GET /none HTTP/1.1\r\n\r\n", 404, "/hello"),
        (b"POST /hello HTTP/1.1\r\n\r\n", 405, ""),
        (b"nonsense\r\n\r\n", 400, ""),
        (b"GET /bad HTTP/1.1\r\n\r\n", 400, "seconds=x: a number"),
        (b"GET /hello HTTP/1.1\r\nX: " + b"y" * 20_000 + b"\r\n\r\n", 431, ""),
    ],
)
async def test_requests_get_the_right_status(request_bytes, status, text) -> None:
    async with serving() as server:
        got, body = await ask(server, request_bytes)
    assert got == status
    assert text in body


async def test_a_broken_route_answers_500_without_details() -> None:
    async with serving() as server:
        status, body = await ask(server, b"GET /broken HTTP/1.1\r\n\r\n")
    assert status == 500
    assert "secret" not in body


async def test_a_silent_peer_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "REQUEST_SECONDS", 0.05)
    async with serving() as server:
        status, _ = await ask(server, b"GET /hello HT")
    assert status == 0


async def test_debug_is_only_for_trusted_peers() -> None:
    server = HealthServer(ROUTES)
    for path, expected in ((b"/debug/x", 403), (b"/hello", 200)):
        ours, theirs = socket.socketpair()
        reader, writer = await asyncio.open_connection(sock=theirs)
        answering = asyncio.create_task(server.answer(reader, writer, trusted=False))
        reader2, writer2 = await asyncio.open_connection(sock=ours)
        writer2.write(b"GET " + path + b" HTTP/1.1\r\n\r\n")
        assert int((await reader2.read(-1)).split()[1]) == expected
        writer2.close()
        await answering


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("10.0.0.1", False),
        ("::ffff:10.0.0.1", False),
        ("fe80::1%eth0", False),
    ],
)
def test_loopback_is_told_apart(address: str, expected: bool) -> None:
    assert health._is_loopback(address) is expected


async def test_a_taken_port_is_told_with_port_and_setting() -> None:
    async with serving() as server:
        with pytest.raises(DependencyError) as raised:
            await HealthServer(ROUTES).listen("127.0.0.1", server.port)
    assert str(server.port) in str(raised.value)
    assert "METRICS_PORT" in str(raised.value)
    assert raised.value.exit_code == 3


async def test_readiness_names_what_does_not_answer() -> None:
    async def fine() -> None: ...

    async def away() -> None:
        raise ConnectionRefusedError("refused\nsecond line")

    response = await probe_all({"redis": fine, "postgres": away})
    assert response.status is HTTPStatus.SERVICE_UNAVAILABLE
    assert response.body == b"redis: ok\npostgres: ConnectionRefusedError: refused\n"
    assert (await probe_all({"redis": fine})).status is HTTPStatus.OK
    assert (await probe_all({})).status is HTTPStatus.OK


async def test_tasks_are_shown_with_their_stacks() -> None:
    async def parked_here() -> None:
        await asyncio.Event().wait()

    task = asyncio.create_task(parked_here())
    await asyncio.sleep(0)
    async with serving(debug_routes()) as server:
        status, body = await ask(server, b"GET /debug/tasks HTTP/1.1\r\n\r\n")
    task.cancel()
    assert status == 200
    assert "parked_here" in body
    assert "await asyncio.Event().wait()" in body


async def test_a_profile_shows_where_time_goes() -> None:
    async def spin_the_wheel() -> None:
        while True:
            sum(range(20_000))
            await asyncio.sleep(0)

    task = asyncio.create_task(spin_the_wheel())
    async with serving(debug_routes()) as server:
        status, body = await ask(server, b"GET /debug/profile?seconds=0.3 HTTP/1.1\r\n\r\n")
    task.cancel()
    assert status == 200
    stacks = [line for line in body.splitlines() if "spin_the_wheel" in line]
    assert stacks
    assert all(int(line.rsplit(" ", 1)[1]) >= 1 for line in stacks)


@pytest.mark.parametrize("seconds", ["0", "-1", "61", "nan", "inf", "soon"])
async def test_a_profile_of_no_sensible_length_is_refused(seconds: str) -> None:
    async with serving(debug_routes()) as server:
        status, body = await ask(
            server, f"GET /debug/profile?seconds={seconds} HTTP/1.1\r\n\r\n".encode()
        )
    assert status == 400
    assert "up to 60" in body
