"""One run of one worker: publish, start it, watch the ledger, stop it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Protocol

import msgspec

from benchmarks.queue.ledger import Ledger
from benchmarks.queue.peers import Peer
from benchmarks.queue.processes import cpu_seconds, peak_rss_mb, pss_mb
from benchmarks.queue.toolchain import ROOT

STOP_SECONDS = 15.0


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What jobs a run consists of."""

    jobs: int
    payload_bytes: int = 150
    sleep_ms: int = 0
    processes: int = 1
    feature: str = ""


class Server(Protocol):
    """What a run needs of a server."""

    @property
    def url(self) -> str:
        """Where it listens."""
        ...

    def clean(self) -> None:
        """Forget everything."""
        ...

    def cpu_seconds(self) -> float:
        """Return what it has used."""
        ...

    def is_empty(self) -> bool:
        """Whether no job is left; False where that is not known."""
        ...

    def stop(self) -> None:
        """End it."""
        ...


class Bench(msgspec.Struct, frozen=True):
    """A peer and a load on a server, with a directory for its log."""

    peer: Peer
    load: Load
    server: Server
    directory: Path
    queue: str = "bench"

    def environment(self, ledger: Ledger, **more: object) -> dict[str, str]:
        """Return what the programs of a peer are told."""
        told: dict[str, object] = {
            "URL": self.server.url,
            "QUEUE": self.queue,
            "SLOTS": self.peer.slots,
            "COUNT": ledger.count,
            "BYTES": self.load.payload_bytes,
            "SLEEP_MS": self.load.sleep_ms,
            "EVERY_MS": 0,
            "PROCESSES": self.load.processes,
            "FEATURE": self.load.feature,
            "LEDGER": ledger.path,
        } | more
        python = {
            "PYTHONPATH": str(ROOT),
            "PYTHONWARNINGS": "ignore",
            "PYTHONDONTWRITEBYTECODE": "",  # what a user installs is compiled
        }
        return {**os.environ, **python, **{f"BENCH_{name}": str(told[name]) for name in told}}

    def publish(self, ledger: Ledger, **more: object) -> None:
        """Publish the jobs and return when the broker has them."""
        done = subprocess.run(
            self.peer.publish,
            env=self.environment(ledger, **more),
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{self.peer.name} cannot publish:\n{done.stderr[-2000:]}")

    def start(self, ledger: Ledger) -> Worker:
        """Start the worker's processes."""
        return Worker(self, ledger)


class Worker:
    """A running worker; killed at the end of the `with` block if it still runs."""

    def __init__(self, bench: Bench, ledger: Ledger) -> None:
        peer, processes = bench.peer, bench.load.processes
        command = [part.format(slots=peer.slots) for part in peer.work]
        self._log = (bench.directory / "worker.log").open("a+b")
        self._log.truncate(0)
        self._name = peer.name
        self.started_ns = time.monotonic_ns()
        self._processes = [
            subprocess.Popen(
                command,
                env=bench.environment(ledger),
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
                start_new_session=True,
            )
            for _ in range(1 if peer.forks else processes)
        ]

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.kill()
        self._log.close()

    def alive(self) -> None:
        """Raise RuntimeError with the end of its log when the worker has ended."""
        for process in self._processes:
            if process.poll() is not None:
                code = process.returncode
                raise RuntimeError(f"{self._name} ended with {code}:\n{self.log()[-2000:]}")

    def exit_codes(self) -> list[int]:
        """Return the exit codes of its processes once it has ended."""
        return [process.wait() for process in self._processes]

    def log(self) -> str:
        """Return what the worker printed."""
        self._log.seek(0)
        return self._log.read().decode(errors="replace")

    def cpu_seconds(self) -> float:
        """Return the CPU time of all its processes."""
        return sum(cpu_seconds(process.pid) for process in self._processes)

    def rss_mb(self) -> float:
        """Return the peak of its largest process."""
        return max(peak_rss_mb(process.pid) for process in self._processes)

    def pss_mb(self) -> float:
        """Return the memory of all its processes."""
        return sum(pss_mb(process.pid) for process in self._processes)

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Stop its processes for a while, as SIGSTOP does."""
        self._signal(signal.SIGSTOP)
        yield
        self._signal(signal.SIGCONT)

    def stop(self) -> None:
        """Ask it to stop, and wait; after some time kill it."""
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOP_SECONDS)
        self.kill()

    def kill(self) -> None:
        """Kill all its processes at once."""
        self._signal(signal.SIGKILL)
        for process in self._processes:
            process.wait()

    def _signal(self, number: signal.Signals) -> None:
        for process in self._processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
