"""Runs a worker as its users do: a process of its own, configured by the environment."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar
from urllib.error import URLError
from urllib.request import urlopen

T = TypeVar("T")

_SAMPLE = re.compile(r"^(?P<name>\w+)(?:\{(?P<labels>[^}]*)\})? (?P<value>\S+)$", re.MULTILINE)


def until(what: str, probe: Callable[[], T | None], seconds: float, every: float = 0.02) -> T:
    """Return the first true answer of `probe`; fail with `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        answer = probe()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:.0f} s in vain until {what}")
        time.sleep(every)


@dataclass
class WorkerProcess:
    """One worker, restartable, with its log kept over restarts."""

    package: str
    environment: Mapping[str, str]
    metrics_port: int
    log: Path
    arguments: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def start(self) -> None:
        """Start the process and wait until it is ready."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", self.package, "run"),
                    *("--metrics-port", str(self.metrics_port)),
                    *self.arguments,
                ],
                env={"PATH": os.environ["PATH"], **self.environment},
                stdin=subprocess.DEVNULL,
                stderr=log,
                stdout=log,
            )
        until(f"{self.package} is ready; see {self.log}", self._ready, 60)

    def _ready(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            tail = self.log.read_text(errors="replace")[-3000:]
            raise AssertionError(f"{self.package} exited {self.process.returncode}:\n{tail}")
        return self.answers("/health/ready")

    def answers(self, path: str) -> bool:
        """Whether the path answers 200."""
        try:
            with urlopen(f"http://127.0.0.1:{self.metrics_port}{path}", timeout=5) as answer:
                return bool(answer.status == 200)
        except (URLError, ConnectionError, TimeoutError):
            return False

    def metrics(self) -> dict[str, float]:
        """Return all samples, by `name` or `name{labels}`."""
        with urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=5) as answer:
            text = answer.read().decode()
        return {
            match["name"] + (f"{{{match['labels']}}}" if match["labels"] else ""): float(
                match["value"]
            )
            for match in _SAMPLE.finditer(text)
        }

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process itself."""
        assert self.process is not None
        self.process.send_signal(number)

    def kill_while(self, holds_work: Callable[[], bool], seconds: float = 60) -> None:
        """SIGKILL the process at a moment at which it holds started work.

        It is frozen first, looked at, and let go on when it holds none, so that the look is true.
        """

        def frozen_and_holding() -> bool:
            self.signal(signal.SIGSTOP)
            if holds_work():
                return True
            self.signal(signal.SIGCONT)
            return False

        until(f"{self.package} holds started work", frozen_and_holding, seconds)
        self.signal(signal.SIGKILL)
        assert self.process is not None
        self.process.wait(30)

    def terminate(self, seconds: float) -> int:
        """Send SIGTERM; return the exit code, which must come within `seconds`."""
        self.signal(signal.SIGTERM)
        assert self.process is not None
        return self.process.wait(seconds)

    def end(self) -> None:
        """End the process if it still runs, however it takes it."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(30)


def command(
    package: str, *arguments: str, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run a worker's command to its end."""
    return subprocess.run(
        [sys.executable, "-m", package, *arguments],
        env={"PATH": os.environ["PATH"], **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
    )
