"""A server program as a child process: ready, stopped or a clear error; never left behind."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from shared.errors import DependencyError

LOOPBACK = "127.0.0.1"
_LOG_TAIL_BYTES = 2_000
_POLL_SECONDS = 0.01
_KILLED_SECONDS = 5.0
_PORTS = range(20_000, 32_000)
_APART = 61
"""Between the first ports of two processes that follow one another."""
_port_numbers = itertools.count()


def free_port() -> int:
    """Return a TCP port on loopback that nobody listens on now, another one at each call.

    It is below those that the kernel gives to connections and to whoever leaves the choice to it,
    and each process begins elsewhere: so nobody takes it before the program that it is for.
    """
    for _ in _PORTS:
        port = _PORTS[(os.getpid() * _APART + next(_port_numbers)) % len(_PORTS)]
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((LOOPBACK, port))
            return port
    raise DependencyError(f"no port from {_PORTS[0]} to {_PORTS[-1]} is free on {LOOPBACK}")


class ServerProcess:
    """Runs one program in a session of its own, so that Ctrl-C reaches its parent only.

    When the thread that started it ends, however it ends, the kernel sends the program its stop
    signal; so start servers from the main thread.
    """

    def __init__(self, name: str, log: Path, stop_signal: signal.Signals) -> None:
        self.name = name
        self._log = log
        self._stop_signal = stop_signal
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process id, or None when the program does not run."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def start(
        self,
        command: Sequence[str],
        *,
        ready: Callable[[], bool],
        timeout: float,
        environment: Mapping[str, str] | None = None,
        privileges: Sequence[str] = (),
    ) -> None:
        """Start the program and return when `ready` says so.

        `privileges` are options of `setpriv`, as `unprivileged.privileges` gives them.
        Raises DependencyError with the end of its log when it exits or is not ready after
        `timeout` seconds; it does not run then.
        """
        if self.pid is not None:
            return
        watched = [*as_child(privileges, self._stop_signal), *command]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - the program is ours or the user's choice
                watched,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=dict(environment) if environment is not None else None,
                cwd="/",
                start_new_session=True,
            )
        try:
            self._wait_until(ready, time.monotonic() + timeout)
        except BaseException:
            self.kill()
            raise

    def stop(self, timeout: float = 30.0) -> None:
        """Ask the program to stop and wait; after `timeout` seconds kill it."""
        if self._process is None:
            return
        self._process.send_signal(self._stop_signal)
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End the program and all its children at once, as a crash does (SIGKILL)."""
        if self._process is None or self.pid is None:
            return
        os.kill(self._process.pid, signal.SIGSTOP)  # so that it has no further child meanwhile
        children = _descendants(self._process.pid)
        for pid in [self._process.pid, *children]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()
        # What a child still holds (memory, a port) would be in the way of the next start.
        deadline = time.monotonic() + _KILLED_SECONDS
        while any(map(_runs, children)) and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)

    def _wait_until(self, ready: Callable[[], bool], deadline: float) -> None:
        assert self._process is not None
        while not ready():
            if self._process.poll() is not None:
                raise DependencyError(
                    f"{self.name} did not start (exit code {self._process.returncode}):\n"
                    f"{self._end_of_log()}"
                )
            if time.monotonic() > deadline:
                raise DependencyError(f"{self.name} is not ready in time:\n{self._end_of_log()}")
            time.sleep(_POLL_SECONDS)

    def _end_of_log(self) -> str:
        return self._log.read_bytes()[-_LOG_TAIL_BYTES:].decode(errors="replace").strip()


def as_child(privileges: Sequence[str], signal_: signal.Signals = signal.SIGTERM) -> list[str]:
    """Return what to put before a command so that the kernel signals it when we end.

    Raises DependencyError when `setpriv` is missing.
    """
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise DependencyError("the program setpriv is missing; it is in the package util-linux")
    return [setpriv, *privileges, f"--pdeathsig={signal_.name.removeprefix('SIG')}"]


def _runs(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def _descendants(pid: int) -> list[int]:
    try:
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    except (FileNotFoundError, ProcessLookupError):
        return []
    children = [int(child) for child in listed]
    return children + [deeper for child in children for deeper in _descendants(child)]
