"""The worker processes of the ledger, and what is done to them."""

from __future__ import annotations

import asyncio
import random
import sys
import time
from pathlib import Path

from benchmarks.ledger import books
from benchmarks.ledger.account import Fault
from benchmarks.ledger.settings import LEASE_SECONDS
from tests.faults.processes import Child, Children

PROXIED = 0
"""The place of the worker whose connections go through the proxy."""
_RESUMED_SECONDS = 1.0
"""A worker that slept past its leases is left alone for so long: its settlements shall be refused.
"""


class Fleet:
    """A fixed number of places; a worker that is killed is followed by another in its place."""

    def __init__(
        self,
        children: Children,
        directory: Path,
        queue_name: str,
        urls: tuple[str, str],
        size: int,
    ) -> None:
        """`urls` are the broker's own and the proxy's."""
        self._children = children
        self._directory = directory
        self._queue_name = queue_name
        self._urls = urls
        self._generation = 0
        self._asleep = -1
        self.faults: list[Fault] = []
        self._workers = [self._spawn(place) for place in range(size)]

    @property
    def names(self) -> list[str]:
        """The workers that are alive now."""
        return [name for name, _ in self._workers]

    @property
    def proxied(self) -> str:
        """The worker behind the proxy."""
        return self._workers[PROXIED][0]

    async def kill_one(self) -> None:
        """SIGKILL a worker that holds a started job, and start another."""
        place = await self._stopped_at_work(except_place=self._asleep)
        name, child = self._workers[place]
        child.kill()
        self.faults.append(Fault("kill", time.monotonic_ns(), [name]))
        self._workers[place] = self._spawn(place)

    async def pause_past_the_lease(self) -> None:
        """SIGSTOP a worker that holds a started job until its leases are surely over."""
        self._asleep = place = await self._stopped_at_work()
        name, child = self._workers[place]
        self.faults.append(Fault("pause", time.monotonic_ns(), [name]))
        await asyncio.sleep(1.5 * LEASE_SECONDS)
        child.resume()
        await asyncio.sleep(_RESUMED_SECONDS)
        self._asleep = -1

    def stop(self) -> None:
        """SIGTERM all. Raises RuntimeError when one does not end well."""
        for name, child in self._workers:
            if code := child.terminate():
                raise RuntimeError(f"worker {name} ended with exit code {code}")

    async def _stopped_at_work(self, except_place: int = -1) -> int:
        """Stop a worker at random; one that holds no started job is let go on, and so on.

        Raises RuntimeError when it had ended by itself.
        """
        while True:
            place = random.randrange(len(self._workers))
            if place != except_place:
                name, child = self._workers[place]
                child.pause()
                if not child.runs:
                    raise RuntimeError(f"worker {name} ended by itself: {child.wait()}")
                if self._holds_started_jobs(name):
                    return place
                child.resume()
            await asyncio.sleep(0.01)

    def _holds_started_jobs(self, name: str) -> bool:
        started = books.count(self._directory, "started", name)
        return started > books.count(self._directory, "executed", name)

    def _spawn(self, place: int) -> tuple[str, Child]:
        self._generation += 1
        name = f"worker-{self._generation}"
        url = self._urls[place == PROXIED]
        module = "benchmarks.ledger.worker"
        command = [sys.executable, "-m", module, url, self._queue_name, str(self._directory), name]
        return name, self._children.start(command, log=self._directory / "log")
