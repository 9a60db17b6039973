"""Kafka 4.1 from Maven Central, for tests: one node that is broker and controller."""

from __future__ import annotations

import base64
import os
import shutil
import signal
import socket
import subprocess
import uuid
from collections.abc import Mapping
from pathlib import Path

from shared.embedded.server_process import LOOPBACK, ServerProcess, free_port
from tests.services.kafka_secure import SCRAM_USERS, SecureListener
from tests.services.missing import missing

VERSION = "4.1.1"
_PROJECT = Path(__file__).parent / "kafka-pom.xml"
LIBRARIES = Path(__file__).parents[2] / f".cache/kafka-{VERSION}"
FETCH = (
    "mvn", "--quiet", "--batch-mode", "-f", str(_PROJECT), "dependency:copy-dependencies",
    f"-DoutputDirectory={LIBRARIES}",
)  # fmt: skip
"""The command that gets the server, about 55 MB."""
_OLDEST_JAVA = 17
_START_SECONDS = 120.0
_SETTINGS: Mapping[str, str] = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "inter.broker.listener.name": "PLAINTEXT",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "auto.create.topics.enable": "false",
    "log.cleaner.dedupe.buffer.size": "8388608",
    "log.segment.bytes": "16777216",
}


class Kafka:
    """A single node with a 400 MB heap that lives in a directory.

    `proxied` is the port of a proxy: the node listens on `proxied_port` behind it, and names the
    proxy to clients that come that way, so that they come back through it. With `secure` it has a
    further listener, for TLS and a login: see tests/services/kafka_secure.py.
    """

    def __init__(
        self,
        directory: Path,
        *,
        proxied: int = 0,
        secure: bool = False,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self._directory = directory.resolve()
        self._class_path = f"{libraries()}/*"
        self._java = java()
        self._process = ServerProcess("Kafka", self._directory / "server.log", signal.SIGTERM)
        self.port = free_port()
        self.proxied_port = free_port()
        self.proxied = proxied
        self._controller_port = free_port()
        self._settings = {**_SETTINGS, **(settings or {})}
        self._secure = SecureListener(self._directory, free_port()) if secure else None

    @property
    def url(self) -> str:
        """The kafka:// URL, with two partitions a topic; the same after every restart."""
        return f"kafka://{LOOPBACK}:{self.port}?partitions=2"

    @property
    def pid(self) -> int | None:
        """The process id, or None when the server does not run."""
        return self._process.pid

    def start(self) -> None:
        """Start the node and return when it takes connections; about 4 s."""
        self._directory.mkdir(exist_ok=True)
        settings = self._directory / "server.properties"
        if not settings.exists():
            self._format(settings)
        self._process.start(
            [str(self._java), "-Xmx400m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
             "-cp", self._class_path, "kafka.Kafka", str(settings)],
            ready=self._listening,
            timeout=_START_SECONDS,
            environment={"PATH": os.environ["PATH"]},
        )  # fmt: skip

    def stop(self) -> None:
        """Stop the node cleanly."""
        self._process.stop()

    def kill(self) -> None:
        """Crash the node (SIGKILL)."""
        self._process.kill()

    def restart(self) -> None:
        """Stop cleanly and start again: same port, same data."""
        self.stop()
        self.start()

    def _format(self, settings: Path) -> None:
        listeners = [
            f"PLAINTEXT://{LOOPBACK}:{self.port}",
            f"PROXIED://{LOOPBACK}:{self.proxied_port}",
        ]
        advertised = [listeners[0], f"PROXIED://{LOOPBACK}:{self.proxied or self.proxied_port}"]
        controller = f"{LOOPBACK}:{self._controller_port}"
        lines = self._settings | {
            "listeners": ",".join([*listeners, f"CONTROLLER://{controller}"]),
            "advertised.listeners": ",".join(advertised),
            "controller.quorum.voters": f"1@{controller}",
            "log.dirs": str(self._directory / "data"),
        }
        if self._secure:
            self._secure.join(lines)
        settings.write_text("".join(f"{name}={value}\n" for name, value in lines.items()))
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        tool = [str(self._java), "-cp", self._class_path, "kafka.tools.StorageTool"]
        command = [*tool, "format", "-t", cluster, "-c", str(settings)]
        subprocess.run([*command, *(SCRAM_USERS if self._secure else ())], check=True,
                       capture_output=True)  # fmt: skip

    def _listening(self) -> bool:
        """Look at every listener: each begins by itself."""
        ports = [self.port, self.proxied_port, *([self._secure.port] if self._secure else [])]
        try:
            for port in ports:
                socket.create_connection((LOOPBACK, port), timeout=5).close()
        except OSError:
            return False
        return True


def libraries() -> Path:
    """Return the directory of the server's jars; skip when not to be had."""
    if not next(LIBRARIES.glob(f"kafka_*-{VERSION}.jar"), None):
        missing(f"Kafka {VERSION}", " ".join(FETCH))
    return LIBRARIES


def java() -> Path:
    """Return a Java that is new enough; skip when there is none."""
    candidates = sorted(Path("/usr/lib/jvm").glob("*/bin/java"))
    if found := shutil.which("java"):
        candidates.append(Path(found))
    if not candidates:
        missing(f"a Java {_OLDEST_JAVA} or later", "apt-get install openjdk-17-jre-headless")
    return candidates[0]
