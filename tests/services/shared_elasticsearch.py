"""One Elasticsearch for all processes of a test session, started by the first that needs it.

The server belongs to a guard process, which ends it when the process that controls the session
ends, however that ends: `python -m tests.services.shared_elasticsearch DIRECTORY CONTROLLER_PID`.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

from shared.errors import DependencyError
from tests.services.elasticsearch import Elasticsearch, distribution, java_home

_PROJECT = Path(__file__).parents[2]
_START_SECONDS = 170.0
_POLL_SECONDS = 0.05


def shared_url(directory: Path, controller: int) -> str:
    """Return the URL of the session's server; starts it when nobody has yet.

    Raises DependencyError with the reason when it does not come up.
    """
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (directory / "pid").exists():
            distribution()  # a missing server or JDK skips here, where the test is
            java_home()
            _start_guard(directory, controller)
    return _outcome(directory / "outcome")


def stop(directory: Path) -> None:
    """End the session's server, if there is one, and wait for it."""
    pid_file = directory / "pid"
    if not pid_file.exists():
        return
    guard = os.pidfd_open(int(pid_file.read_text()))
    signal.pidfd_send_signal(guard, signal.SIGTERM)
    select.select([guard], [], [])
    os.close(guard)


def _outcome(file: Path) -> str:
    deadline = time.monotonic() + _START_SECONDS
    while not file.exists():
        if time.monotonic() > deadline:
            raise DependencyError("Elasticsearch is not ready in time")
        time.sleep(_POLL_SECONDS)
    said = file.read_text()
    if not said.startswith("http://"):
        raise DependencyError(said)
    return said


def _start_guard(directory: Path, controller: int) -> None:
    command = [sys.executable, "-m", "tests.services.shared_elasticsearch"]
    guard = subprocess.Popen(
        [*command, str(directory), str(controller)],
        cwd=_PROJECT,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    guard.returncode = 0  # it outlives us on purpose; without this Popen warns
    (directory / "pid").write_text(str(guard.pid))


def _guard(directory: Path, controller: int) -> None:
    watched = os.pidfd_open(controller)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    server = Elasticsearch(directory / "node")
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
    _guard(Path(sys.argv[1]), int(sys.argv[2]))
