"""Elasticsearch 9.5 from Maven Central, for tests."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import signal
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

from shared.embedded import unprivileged
from shared.embedded.server_process import LOOPBACK, ServerProcess, free_port
from tests.services.missing import missing

VERSION = "9.5.0"
_GROUP = "org.elasticsearch.distribution.integ-test-zip"
ARTIFACT = f"{_GROUP}:elasticsearch:{VERSION}:zip"
_ZIP = Path.home() / f".m2/repository/{_GROUP.replace('.', '/')}/elasticsearch/{VERSION}"
_CACHE = Path(__file__).parents[2] / ".cache"
_OLDEST_JAVA = 21
_START_SECONDS = 120.0
_SETTINGS = {
    "discovery.type": "single-node",
    "network.host": LOOPBACK,
    "xpack.security.enabled": False,
    "action.destructive_requires_name": False,
    "cluster.routing.allocation.disk.threshold_enabled": False,
}


class Elasticsearch:
    """A single node with a 400 MB heap that lives in a directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory.resolve()
        self._home = distribution()
        self._java = java_home()
        self._process = ServerProcess(
            "Elasticsearch", self._directory / "server.log", signal.SIGTERM
        )
        self.port = free_port()
        self._transport_port = free_port()

    @property
    def url(self) -> str:
        """The http:// URL; the same after every restart."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def pid(self) -> int | None:
        """The process id, or None when the server does not run."""
        return self._process.pid

    def start(self) -> None:
        """Start the node and return when its health is not red; about 10 s."""
        if not (self._directory / "config").exists():
            self._configure()
        scratch = str(self._directory / "tmp")
        self._process.start(
            [str(self._home / "bin" / "elasticsearch")],
            ready=self._healthy,
            timeout=_START_SECONDS,
            environment={
                "PATH": os.environ["PATH"],
                "ES_JAVA_HOME": str(self._java),
                "ES_JAVA_OPTS": "-Xms400m -Xmx400m",
                "ES_PATH_CONF": str(self._directory / "config"),
                "ES_TMPDIR": scratch,
                "CLI_JAVA_OPTS": f"-Djava.io.tmpdir={scratch}",
            },
            privileges=unprivileged.privileges([self._home / "bin", self._directory / "config"]),
        )

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

    def _configure(self) -> None:
        config = self._directory / "config"
        shutil.copytree(self._home / "config", config)
        settings = _SETTINGS | {
            "http.port": self.port,
            "transport.port": self._transport_port,
            "path.data": str(self._directory / "data"),
            "path.logs": str(self._directory / "logs"),
        }
        lines = [f"{name}: {json.dumps(value)}" for name, value in settings.items()]
        (config / "elasticsearch.yml").write_text("\n".join(lines) + "\n")
        for name in ("data", "logs", "tmp"):
            (self._directory / name).mkdir()
        for path in [self._directory, *self._directory.rglob("*")]:
            unprivileged.give(path)

    def _healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/_cluster/health", timeout=5) as answer:
                return bool(json.load(answer)["status"] != "red")
        except (OSError, urllib.error.URLError):
            return False


def distribution() -> Path:
    """Return the directory of the unpacked server, kept in a cache; skip when not to be had."""
    home = _CACHE / f"elasticsearch-{VERSION}"
    _CACHE.mkdir(exist_ok=True)
    with (_CACHE / "elasticsearch.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not home.exists():
            _unpack(_fetched(), home)
    return home


def java_home() -> Path:
    """Return a JDK that is new enough; skip when there is none."""
    candidates = [Path(os.environ["ES_JAVA_HOME"])] if os.environ.get("ES_JAVA_HOME") else []
    candidates += sorted(Path("/usr/lib/jvm").glob("*"))
    found = next((home for home in candidates if _java_version(home) >= _OLDEST_JAVA), None)
    if found is None:
        missing(f"a JDK {_OLDEST_JAVA} or later", "install one and set ES_JAVA_HOME to it")
    return found


def _java_version(home: Path) -> int:
    try:
        found = re.search(r'JAVA_VERSION="(\d+)', (home / "release").read_text())
    except OSError:
        return 0
    return int(found[1]) if found else 0


def _fetched() -> Path:
    path = _ZIP / f"elasticsearch-{VERSION}.zip"
    get = f"mvn dependency:get -Dtransitive=false -Dartifact={ARTIFACT}"
    if not path.exists():
        missing(f"Elasticsearch {VERSION}", get)
    return path


def _unpack(archive: Path, home: Path) -> None:
    unfinished = home.parent / "elasticsearch.unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    with zipfile.ZipFile(archive) as files:
        for entry in files.infolist():
            extracted = Path(files.extract(entry, unfinished))
            extracted.chmod(entry.external_attr >> 16 & 0o777 | 0o444)
    next(unfinished.iterdir()).rename(home)
    unfinished.rmdir()
