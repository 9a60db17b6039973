"""Redis and Postgres servers for tests: those of the wheels and those of the distribution."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TypeVar

from shared.embedded.postgres import PostgresServer
from shared.embedded.valkey import ValkeyServer
from tests.services.missing import missing

_POSTGRES_15 = Path("/usr/lib/postgresql/15/bin")


class Redis(ValkeyServer):
    """A server that speaks the Redis protocol."""

    def restart(self) -> None:
        """Stop cleanly and start again: same port, same data."""
        self.stop()
        self.start()


class Postgres(PostgresServer):
    """A Postgres; fsync is off, since no test cuts the machine's power."""

    def __init__(self, data: Path, programs: Path | None = None) -> None:
        super().__init__(data, programs=programs, options={"fsync": "off"})

    def restart(self) -> None:
        """Stop cleanly and start again: same port, same data."""
        self.stop()
        self.start()


def valkey(data: Path) -> Redis:
    """Return Valkey 9.1 from its wheel, started."""
    return _started(Redis(data))


def redis7(data: Path) -> Redis:
    """Return Redis 7.0 of the distribution, started, append-only every second."""
    program = shutil.which("redis-server")
    if program is None:
        missing("Redis 7", "apt-get install redis-server")
    return _started(Redis(data, program=Path(program)))


def postgres18(data: Path) -> Postgres:
    """Return Postgres 18 from its wheel, started."""
    return _started(Postgres(data))


def postgres15(data: Path) -> Postgres:
    """Return Postgres 15 of the distribution, started."""
    if not (_POSTGRES_15 / "initdb").exists():
        missing("Postgres 15", "apt-get install postgresql-15")
    return _started(Postgres(data, programs=_POSTGRES_15))


S = TypeVar("S", Redis, Postgres)


def _started(server: S) -> S:
    server.start()
    return server
