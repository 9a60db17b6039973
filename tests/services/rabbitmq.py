"""RabbitMQ 3.10 of the distribution, for tests: one node with a port mapper of its own."""

from __future__ import annotations

import os
import shutil
import signal
import socket
from pathlib import Path

from shared.embedded.server_process import LOOPBACK, ServerProcess, free_port
from tests.services.missing import missing

_PROGRAM = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
_START_SECONDS = 120.0
_CONFIGURATION = """\
vm_memory_high_watermark.absolute = 1GB
disk_free_limit.absolute = 50MB
log.console = false
"""


class RabbitMQ:
    """A node that lives in a directory, and shares nothing with one of the system."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory.resolve()
        self._program, self._port_mapper = programs()
        self.port = free_port()
        self._dist_port, self._epmd_port = free_port(), free_port()
        log = self._directory / "server.log"
        # Without one the node would leave a daemon behind.
        self._epmd = ServerProcess("epmd", log, signal.SIGKILL)
        self._node = ServerProcess("RabbitMQ", log, signal.SIGTERM)

    @property
    def url(self) -> str:
        """The amqp:// URL; the same after every restart."""
        return f"amqp://guest:guest@{LOOPBACK}:{self.port}/"

    @property
    def pid(self) -> int | None:
        """The process id of the node, or None when it does not run."""
        return self._node.pid

    @property
    def port_mapper_pid(self) -> int | None:
        """The process id of its port mapper, or None when that does not run."""
        return self._epmd.pid

    def start(self) -> None:
        """Start the node and return when it takes connections; about 5 s."""
        self._directory.mkdir(exist_ok=True)
        (self._directory / "rabbitmq.conf").write_text(_CONFIGURATION)
        (self._directory / "plugins").write_text("[].\n")
        (self._directory / "environment").touch()
        self._epmd.start(
            [str(self._port_mapper), "-port", str(self._epmd_port), "-address", LOOPBACK],
            ready=lambda: _listens(self._epmd_port),
            timeout=_START_SECONDS,
            environment={},
        )
        self._node.start(
            [str(self._program)],
            ready=lambda: _listens(self.port),
            timeout=_START_SECONDS,
            environment=self._environment(),
        )

    def stop(self) -> None:
        """Stop the node cleanly."""
        self._node.stop()
        self._epmd.stop()

    def kill(self) -> None:
        """Crash the node (SIGKILL)."""
        self._node.kill()
        self._epmd.stop()

    def restart(self) -> None:
        """Stop cleanly and start again: same port, same data."""
        self.stop()
        self.start()

    def _environment(self) -> dict[str, str]:
        home = self._directory
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "RUNNING_UNDER_SYSTEMD": "true",  # the node itself, and no shell around it
            "RABBITMQ_NODENAME": f"test-{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": LOOPBACK,
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self._dist_port),
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": LOOPBACK,
            "RABBITMQ_MNESIA_BASE": str(home / "data"),
            "RABBITMQ_LOG_BASE": str(home / "log"),
            "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq"),
            "RABBITMQ_CONF_ENV_FILE": str(home / "environment"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "plugins"),
        }


def programs() -> tuple[Path, Path]:
    """Return the server and the port mapper of Erlang; skip when they are not installed."""
    mapper = shutil.which("epmd")
    if mapper is None or not _PROGRAM.exists():
        missing("RabbitMQ", "apt-get install --no-install-recommends rabbitmq-server")
    return _PROGRAM, Path(mapper)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((LOOPBACK, port)) == 0
