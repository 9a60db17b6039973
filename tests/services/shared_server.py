"""One server of a kind for all processes of a test session, started by the first that needs it.

The server belongs to a guard process, which ends it when the process that controls the session
ends, however that ends: `python -m tests.services.shared_server KIND DIRECTORY CONTROLLER_PID`.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Protocol

import msgspec

from shared.errors import DependencyError
from tests.services import elasticsearch, kafka, rabbitmq

_PROJECT = Path(__file__).parents[2]
_START_SECONDS = 170.0
_POLL_SECONDS = 0.05


class _Server(Protocol):
    @property
    def url(self) -> str: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...


class _Kind(msgspec.Struct, frozen=True):
    server: Callable[[Path], _Server]
    look: Callable[[], object]
    """Skips the test when the server is not installed."""


def _look_for_elasticsearch() -> None:
    elasticsearch.distribution()
    elasticsearch.java_home()


def _look_for_kafka() -> None:
    kafka.libraries()
    kafka.java()


_KINDS = {
    "elasticsearch": _Kind(elasticsearch.Elasticsearch, _look_for_elasticsearch),
    "kafka": _Kind(partial(kafka.Kafka, secure=True), _look_for_kafka),
    "rabbitmq": _Kind(rabbitmq.RabbitMQ, rabbitmq.programs),
}


def shared_url(kind: str, session: Path, controller: int) -> str:
    """Return the URL of the session's server; starts it when nobody has yet.

    Raises DependencyError with the reason when it does not come up.
    """
    directory = session / kind
    directory.mkdir(exist_ok=True)
    directory.chmod(0o711)  # servers that refuse root get through as another user
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (directory / "pid").exists():
            _KINDS[kind].look()  # a missing server skips here, where the test is
            _start_guard(kind, directory, controller)
    return _outcome(kind, directory / "outcome")


def stop_all(session: Path) -> None:
    """End the session's servers, and wait for them."""
    for kind in _KINDS:
        pid_file = session / kind / "pid"
        if pid_file.exists():
            guard = os.pidfd_open(int(pid_file.read_text()))
            signal.pidfd_send_signal(guard, signal.SIGTERM)
            select.select([guard], [], [])
            os.close(guard)


def _outcome(kind: str, file: Path) -> str:
    deadline = time.monotonic() + _START_SECONDS
    while not file.exists():
        if time.monotonic() > deadline:
            raise DependencyError(f"{kind} is not ready in time")
        time.sleep(_POLL_SECONDS)
    said = file.read_text()
    if "://" not in said.partition(" ")[0]:
        raise DependencyError(said)
    return said


def _start_guard(kind: str, directory: Path, controller: int) -> None:
    command = [sys.executable, "-m", "tests.services.shared_server"]
    guard = subprocess.Popen(
        [*command, kind, str(directory), str(controller)],
        cwd=_PROJECT,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    guard.returncode = 0  # it outlives us on purpose; without this Popen warns
    (directory / "pid").write_text(str(guard.pid))


def _guard(kind: str, directory: Path, controller: int) -> None:
    watched = os.pidfd_open(controller)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    server = _KINDS[kind].server(directory / "node")
    try:
        server.start()
        _tell(directory, server.url)
        select.select([watched], [], [])
    except DependencyError as error:
        _tell(directory, str(error))
    finally:
        server.stop()


def _tell(directory: Path, outcome: str) -> None:
    unfinished = directory / "outcome.unfinished"
    unfinished.write_text(outcome)
    unfinished.rename(directory / "outcome")


if __name__ == "__main__":
    _guard(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
