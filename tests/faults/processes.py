"""Child processes that can be killed, stopped and continued: only those started here."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from shared.embedded.server_process import as_child


class Child:
    """One process of ours. It dies with us: the kernel kills it when we end."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        log: Path | None = None,
    ) -> None:
        """Start `command` with our environment plus `env`; `log` gets what it prints."""
        with (log or Path(os.devnull)).open("ab") as output:
            self._process = subprocess.Popen(
                [*as_child((), signal.SIGKILL), *command],
                stdin=subprocess.DEVNULL,
                stdout=output if log else None,
                stderr=output if log else None,
                env={**os.environ, **(env or {})},
            )

    @property
    def pid(self) -> int:
        """Its process id, also after its end."""
        return self._process.pid

    @property
    def runs(self) -> bool:
        """Whether it has not ended; a stopped process runs."""
        return self._process.poll() is None

    def pause(self) -> None:
        """Stop it (SIGSTOP); when this returns, it executes nothing until `resume`."""
        if self._signal(signal.SIGSTOP):
            os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def resume(self) -> None:
        """Let a stopped process go on (SIGCONT)."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it at once (SIGKILL), stopped or not, and wait."""
        self._signal(signal.SIGKILL)
        self._process.wait()

    def terminate(self, timeout: float = 30.0) -> int:
        """Ask it to end (SIGTERM) and return its exit code.

        Raises subprocess.TimeoutExpired.
        """
        self._signal(signal.SIGTERM)
        return self._process.wait(timeout)

    def wait(self, timeout: float | None = None) -> int:
        """Return its exit code once it has ended. Raises subprocess.TimeoutExpired."""
        return self._process.wait(timeout)

    def _signal(self, number: signal.Signals) -> bool:
        # `runs` reaps: once it is over its id may belong to somebody else.
        if not self.runs:
            return False
        os.kill(self.pid, number)
        return True


class Children:
    """Kills, at the end of a `with` block, whatever was started in it and still runs."""

    def __init__(self) -> None:
        self._started: list[Child] = []

    def start(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        log: Path | None = None,
    ) -> Child:
        """Start a child; see Child."""
        child = Child(command, env=env, log=log)
        self._started.append(child)
        return child

    def __enter__(self) -> Children:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for child in self._started:
            child.kill()
