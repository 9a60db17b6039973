"""Where the runs take place: the servers, the working directory, and how large the runs are."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from types import TracebackType

from benchmarks.queue.peers import Peer
from benchmarks.queue.run import Bench, Load, Server
from benchmarks.queue.servers import Postgres, Redis

QUICK_SHARE = 100
QUICK_AT_LEAST = 50


class Stage:
    """Servers start when the first peer needs them and end with the `with` block."""

    def __init__(self, *, quick: bool) -> None:
        self.quick = quick
        self._temporary = tempfile.TemporaryDirectory(prefix="bench-queue-")
        self.directory = Path(self._temporary.name)
        self.directory.chmod(0o711)  # Postgres does not run as root
        self._servers: dict[str, Server] = {}

    def __enter__(self) -> Stage:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        for server in self._servers.values():
            server.stop()
        self._temporary.cleanup()

    def bench(self, peer: Peer, load: Load) -> Bench:
        """Set a run up."""
        peer.build()
        return Bench(peer, load, self.server(peer.broker), self.directory)

    def add(self, broker: str, server: Server) -> None:
        """Take in another server; it is ended with the others."""
        self._servers[broker] = server

    def server(self, broker: str) -> Server:
        """Return the running server of this kind."""
        if broker not in self._servers:
            start: type[Redis] | type[Postgres] = {"redis": Redis, "postgres": Postgres}[broker]
            self.add(broker, start(self.directory / broker))
        return self._servers[broker]

    def sized(self, jobs: int) -> int:
        """Return how many jobs a run has: fewer in a smoke run."""
        return max(QUICK_AT_LEAST, jobs // QUICK_SHARE) if self.quick else jobs

    def say(self, what: str) -> None:
        """Tell a waiting person how far it is."""
        print(what, file=sys.stderr, flush=True)
