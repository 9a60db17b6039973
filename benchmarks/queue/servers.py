"""The servers under the workers: one Redis and one Postgres of the benchmark's own."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import redis

from benchmarks.queue.processes import cpu_seconds
from shared.embedded.postgres import PostgresServer
from shared.embedded.valkey import ValkeyServer, wheel_program

POSTGRES_OPTIONS = {
    "shared_buffers": "512MB",
    "max_wal_size": "4GB",
    "synchronous_commit": "off",  # as Redis with everysec: a crash may lose what is under a second
}


class Redis:
    """Append-only, fsync every second; the file is rewritten between runs, never in one."""

    def __init__(self, directory: Path) -> None:
        program = shutil.which("redis-server")
        self._server = ValkeyServer(directory, program=Path(program) if program else None)
        self._server.start()
        self.url = self._server.url
        self.client: Any = redis.Redis.from_url(self.url, socket_timeout=60)
        self.client.config_set("auto-aof-rewrite-percentage", 0)

    def clean(self) -> None:
        """Forget everything, in memory and on disk."""
        self.client.flushall()
        self.client.bgrewriteaof()
        while self.client.info("persistence")["aof_rewrite_in_progress"]:
            time.sleep(0.02)

    def cpu_seconds(self) -> float:
        """Return what the server has used since it started."""
        return cpu_seconds(self._server.pid or 0)

    def is_empty(self) -> bool:
        """Whether nothing of any queue is left."""
        return bool(self.client.dbsize() == 0)

    def stop(self) -> None:
        """End the server."""
        self.client.close()
        self._server.stop()


class Postgres:
    """A database that is made anew for each run."""

    def __init__(self, directory: Path) -> None:
        self._server = PostgresServer(directory, options=POSTGRES_OPTIONS)
        self._server.start()
        self._number = 0

    @property
    def url(self) -> str:
        """The database of the present run."""
        return self._server.url_of(f"bench{self._number}")

    def clean(self) -> None:
        """Make a new database, and write what is dirty."""
        self._number += 1
        with _connected(self._server.url) as execute:
            execute("CHECKPOINT")
            execute(f"CREATE DATABASE bench{self._number}")
            if self._number > 1:
                execute(f"DROP DATABASE bench{self._number - 1} WITH (FORCE)")

    def cpu_seconds(self) -> float:
        """Return what the server has used, its present processes included."""
        return cpu_seconds(self._server.pid or 0)

    def is_empty(self) -> bool:
        """Rows of finished jobs stay, so it never is."""
        return False

    def stop(self) -> None:
        """End the server."""
        self._server.stop()


@contextlib.contextmanager
def _connected(url: str) -> Iterator[Any]:
    import asyncio

    import asyncpg

    with asyncio.Runner() as runner:
        connection = runner.run(asyncpg.connect(url))
        try:
            yield lambda statement: runner.run(connection.execute(statement))
        finally:
            runner.run(connection.close())


def redis_version() -> str:
    """Name the Redis server that is used."""
    program = shutil.which("redis-server") or str(wheel_program())
    said = subprocess.check_output([program, "--version"], text=True).split()
    return f"{said[0]} {said[2].removeprefix('v=')}"
