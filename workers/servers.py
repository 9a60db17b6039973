"""The servers that the workers need: those of the environment, or our own on loopback."""

from __future__ import annotations

import asyncio
import fcntl
import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO

import msgspec

from shared.embedded.postgres import PostgresServer, wheel_programs
from shared.embedded.valkey import ValkeyServer
from shared.errors import ConfigError
from workers.screen import nearby
from workers.settings import SuiteSettings

_LOOK_SECONDS = 0.5


class Place(msgspec.Struct, frozen=True):
    """One line of what runs where. Never holds a password."""

    name: str
    where: str
    data: str = ""


class Servers:
    """Starts what the environment does not name, and stops only what it started.

    Start it from the main thread: the kernel ends an embedded server with the thread that
    started it.
    """

    def __init__(self, settings: SuiteSettings) -> None:
        self._settings = settings
        self._directory = settings.directory()
        self._postgres: PostgresServer | None = None
        self._valkey: ValkeyServer | None = None
        self._lock: IO[bytes] | None = None

    def start(self) -> None:
        """Start the embedded servers.

        Raises ConfigError when another command uses this data directory, DependencyError when a
        server cannot start.
        """
        settings = self._settings
        self._directory.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(self._directory)
        if not settings.database_url:
            self._postgres = PostgresServer(self._directory / "postgres")
            self._postgres.start()
        if not settings.redis():
            self._valkey = ValkeyServer(self._directory / "valkey")
            self._valkey.start()

    async def keep_running(self, tell: Callable[[str], None]) -> None:
        """Start an embedded server again when it ends, until cancelled.

        Raises DependencyError when it cannot start any more.
        """
        while True:
            for name, server in self._embedded().items():
                if server.pid is None:
                    tell(f"{name} ended; it starts again on the same data and port")
                    server.start()  # here and not in a thread: it would end with that thread
            await asyncio.sleep(_LOOK_SECONDS)

    def stop(self) -> None:
        """Stop the embedded servers: the queue first, the truth last."""
        for server in (self._valkey, self._postgres):
            if server is not None:
                server.stop()
        if self._lock is not None:
            self._lock.close()

    def environment(self) -> dict[str, str]:
        """Return what the workers' environment must say to find these servers.

        Domain packs in the data directory are used when DOMAIN_PACKS names no others.
        """
        found = {}
        if self._valkey is not None:
            found["REDIS_URL"] = self._valkey.url
        if self._postgres is not None:
            found["DATABASE_URL"] = self._postgres.url
        if not self._settings.elasticsearch_url:
            found["SEARCH_BACKEND"] = "tantivy"
            found["TANTIVY_DIR"] = str(self._directory / "tantivy")
        packs = self._directory / "packs"
        if packs.is_dir() and not os.environ.get("DOMAIN_PACKS"):
            found["DOMAIN_PACKS"] = str(packs)
        return found

    def write_environment(self) -> Path:
        """Write a file to `source` that leads the other commands, and psql, to these servers.

        It also says what the workers here judge URLs by, so that the commands judge alike.
        """
        file = self._directory / "workers.env"
        file.touch(mode=0o600)  # it holds the database's password
        settings = _judging() | self.environment()
        lines = [f"export {name}={shlex.quote(value)}" for name, value in settings.items()]
        lines.append(f'export PATH={shlex.quote(str(Path(sys.executable).parent))}:"$PATH"')
        if self._postgres is not None:
            lines.append(f'export PATH="$PATH":{shlex.quote(str(wheel_programs()))}')
        file.write_text("\n".join([*lines, ""]), encoding="utf-8")
        return file

    def places(self) -> list[Place]:
        """Return what runs where, for people."""
        rows = [
            Place(name, f"127.0.0.1:{server.port}", nearby(self._directory / name.lower()))
            for name, server in self._embedded().items()
        ]
        if not self._settings.elasticsearch_url:
            index = nearby(self._directory / "tantivy")
            rows.append(Place("Tantivy", "inside worker-indexer", index))
        given = {
            "Postgres": self._settings.database_url,
            "Redis": self._settings.redis(),
            "Elasticsearch": self._settings.elasticsearch_url,
        }
        rows += [Place(name, "as the environment says") for name, url in given.items() if url]
        return rows

    def _embedded(self) -> dict[str, PostgresServer | ValkeyServer]:
        found = {"Postgres": self._postgres, "Valkey": self._valkey}
        return {name: server for name, server in found.items() if server is not None}


def _locked(directory: Path) -> IO[bytes]:
    # Two Valkeys on one append-only file would destroy it. The lock ends with the process.
    lock = (directory / "lock").open("wb")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise ConfigError(
            f"another `workers` command uses {directory}; stop it, or choose another --data-dir"
        ) from None
    return lock


def _judging() -> dict[str, str]:
    names = ("SEED_SCOPE", "ALLOW_NETWORKS")
    found = {name: os.environ[name] for name in names if os.environ.get(name)}
    if packs := os.environ.get("DOMAIN_PACKS"):
        found["DOMAIN_PACKS"] = str(Path(packs).resolve())
    return found
