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
from pathlib import Path

from tests.services.elasticsearch import Elasticsearch, distribution, java_home

_PROJECT = Path(__file__).parents[2]


def shared_url(directory: Path, controller: int) -> str:
    """Return the URL of the session's server; starts it when nobody has yet.

    Raises RuntimeError with the guard's output when it does not come up.
    """
    url_file = directory / "url"
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not url_file.exists():
            distribution()  # a missing server or JDK skips here, where the test is
            java_home()
            url_file.write_text(_start_guard(directory, controller))
    return url_file.read_text()


def stop(directory: Path) -> None:
    """End the session's server, if there is one, and wait for it."""
    pid_file = directory / "pid"
    if not pid_file.exists():
        return
    guard = os.pidfd_open(int(pid_file.read_text()))
    signal.pidfd_send_signal(guard, signal.SIGTERM)
    select.select([guard], [], [])
    os.close(guard)


def _start_guard(directory: Path, controller: int) -> str:
    command = [sys.executable, "-m", "tests.services.shared_elasticsearch"]
    guard = subprocess.Popen(
        [*command, str(directory), str(controller)],
        cwd=_PROJECT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert guard.stdout is not None
    with guard.stdout as output:
        said = output.readline().strip()
        if not said.startswith("http://"):
            reason = output.read()
            guard.wait()
            raise RuntimeError(f"no Elasticsearch:\n{said}\n{reason}")
    guard.returncode = 0  # it outlives us on purpose; without this Popen warns
    (directory / "pid").write_text(str(guard.pid))
    return said


def _guard(directory: Path, controller: int) -> None:
    watched = os.pidfd_open(controller)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    server = Elasticsearch(directory / "node")
    try:
        server.start()
        print(server.url, flush=True)
        select.select([watched], [], [])
    finally:
        server.stop()


if __name__ == "__main__":
    _guard(Path(sys.argv[1]), int(sys.argv[2]))
