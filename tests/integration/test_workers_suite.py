"""The process runner of `workers up`, on small programs that behave well and badly."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from shared.embedded.server_process import free_port
from shared.errors import ConfigError, DependencyError
from workers.child import Child
from workers.suite import Suite

HEALTHY = """
import http.server, os, pathlib, signal, sys
class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
def end(*_):
    with open(os.environ["ORDER"], "a") as order: order.write(os.environ["NAME"] + "\\n")
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Health).serve_forever()
"""
DEAF = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
time.sleep(600)
"""

Program = Callable[[str, str], Child]


@pytest.fixture
async def program(tmp_path: Path) -> AsyncIterator[Program]:
    made = []

    def make(name: str, code: str) -> Child:
        port = free_port()
        environment = {"NAME": name, "PORT": str(port), "ORDER": str(tmp_path / "order")}
        command = [sys.executable, "-c", code]
        made.append(Child(name, command, environment, tmp_path / f"{name}.log", port))
        return made[-1]

    yield make
    for child in made:
        await child.stop(0.1)


async def test_all_are_ready_after_start_and_stop_in_order(
    program: Program, tmp_path: Path
) -> None:
    suite = Suite([program(name, HEALTHY) for name in ("first", "second", "third")], tell=print)

    await suite.start(30, asyncio.Event())
    assert all([await child.is_ready() for child in suite.children])

    await suite.stop(10)
    assert (tmp_path / "order").read_text().split() == ["first", "second", "third"]
    assert not any(child.running for child in suite.children)


async def test_one_that_ends_at_start_is_named_with_the_end_of_its_log(program: Program) -> None:
    suite = Suite([program("broken", "print('no such server'); raise SystemExit(3)")], tell=print)

    with pytest.raises(DependencyError, match=r"(?s)broken ended with exit code 3.*no such server"):
        await suite.start(30, asyncio.Event())


async def test_one_that_is_killed_starts_again(program: Program) -> None:
    told: asyncio.Queue[str] = asyncio.Queue()
    child = program("killed", HEALTHY)
    suite, stop = Suite([child], tell=told.put_nowait), asyncio.Event()
    await suite.start(30, stop)
    running = asyncio.create_task(suite.run(stop))
    first = child.pid
    assert first is not None

    os.kill(first, signal.SIGKILL)
    assert "killed ended with exit code -9" in await told.get()
    async with asyncio.timeout(30):
        while child.pid == first or not await child.is_ready():
            await asyncio.sleep(0.02)

    stop.set()
    await running


async def test_one_whose_settings_are_wrong_ends_the_suite(program: Program) -> None:
    suite = Suite([program("wrong", "raise SystemExit(2)")], tell=print)
    await suite.children[0].start()

    with pytest.raises(ConfigError, match="exit code 2"):
        await suite.run(asyncio.Event())


async def test_one_that_ignores_sigterm_is_killed_after_the_grace_time(program: Program) -> None:
    child = program("deaf", DEAF)
    await child.start()
    async with asyncio.timeout(30):
        while "deaf" not in child.end_of_log():
            await asyncio.sleep(0.02)

    assert await child.stop(0.1) == -signal.SIGKILL
