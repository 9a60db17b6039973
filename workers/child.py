"""One worker as a child process, with its own log."""

from __future__ import annotations

import asyncio
import signal
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

from shared.embedded.server_process import LOOPBACK, as_child

_LOG_TAIL_BYTES = 1_500
_PROBE_SECONDS = 2.0


class Child:
    """A program of ours. It has a session of its own, so that Ctrl-C reaches only its parent;
    when the parent dies, however it dies, the kernel sends it SIGTERM."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        log: Path,
        port: int,
        ready: str = "/health/ready",
    ) -> None:
        """`port` is the program's own; a GET of `ready` on it says whether it can work."""
        self.name = name
        self.log = log
        self.port = port
        self._ready = ready
        self._command = [*as_child([]), *command]
        self._environment = dict(environment)
        self._process: asyncio.subprocess.Process | None = None

    @property
    def running(self) -> bool:
        """Whether the program runs now."""
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int | None:
        """The process id, or None before the first start."""
        return self._process.pid if self._process is not None else None

    async def start(self) -> None:
        """Start the program; its output is added to the end of its log."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
                start_new_session=True,
            )

    async def wait(self) -> int:
        """Return the exit code when the program has ended."""
        assert self._process is not None, "start() comes first"
        return await self._process.wait()

    async def stop(self, grace_seconds: float) -> int | None:
        """Ask the program to end (SIGTERM); after the grace time kill it. Returns the exit code."""
        if self._process is None:
            return None
        if self.running:
            self._process.send_signal(signal.SIGTERM)
        try:
            return await asyncio.wait_for(self._process.wait(), grace_seconds)
        except TimeoutError:
            self._process.kill()
            return await self._process.wait()

    async def is_ready(self) -> bool:
        """Whether the program says, on its own port, that it can work."""
        return await asyncio.to_thread(_answers, f"http://{LOOPBACK}:{self.port}{self._ready}")

    async def metrics(self) -> str:
        """Return what the program shows on its own port. Raises OSError when it does not answer."""
        return await asyncio.to_thread(_text, f"http://{LOOPBACK}:{self.port}/metrics")

    def end_of_log(self) -> str:
        """Return the last lines of the log, to show why a start failed."""
        if not self.log.exists():
            return ""
        return self.log.read_bytes()[-_LOG_TAIL_BYTES:].decode(errors="replace").strip()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=_PROBE_SECONDS) as answer:  # noqa: S310 - loopback
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _text(url: str) -> str:
    with urllib.request.urlopen(url, timeout=_PROBE_SECONDS) as answer:  # noqa: S310 - loopback
        return str(answer.read().decode())
