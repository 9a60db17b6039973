"""Publishing until the power is cut, and finding afterwards what is still there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection
from itertools import count
from typing import Protocol

import asyncpg
import msgspec

from shared.errors import DependencyError
from shared.jobs import Job
from shared.queue.factory import create_queue
from shared.queue.port import Queue, QueueSettings
from shared.verdicts import Done, Settlement

JOB_TYPE = "numbered"
WRITERS = 8
"""Publishes under way at once; the server acknowledges each by itself."""
_SETTINGS = QueueSettings(name="power:jobs", lease_seconds=5.0)
_QUIET_SECONDS = 10.0
"""A queue that says work is left and gives none for so long has none."""


class Client(Protocol):
    """One kind of acknowledged write."""

    async def open(self, url: str) -> None:
        """Connect to a server that has just started."""
        ...

    async def write(self, number: int) -> None:
        """Write a number; when this returns it is acknowledged."""
        ...

    async def survivors(self) -> Collection[int]:
        """Return the numbers that are there."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


class QueueClient:
    """Publishes jobs through the queue port, one a publish."""

    async def open(self, url: str) -> None:
        """See Client."""
        self._queue: Queue = create_queue(_SETTINGS, url)
        while True:
            try:
                return await self._queue.open("power-cut", [JOB_TYPE])
            except DependencyError:  # still reading what the cut left
                await asyncio.sleep(0.1)

    async def write(self, number: int) -> None:
        """See Client."""
        job = Job(type=JOB_TYPE, key=f"job-{number}", payload=b'{"n":%d}' % number)
        await self._queue.publish([job])

    async def survivors(self) -> Collection[int]:
        """See Client; takes all jobs off the queue."""
        found: set[int] = set()
        settled: list[Settlement] = []
        quiet_since = time.monotonic()
        while time.monotonic() - quiet_since < _QUIET_SECONDS:
            answer = await self._queue.exchange(settled, 1000)
            settled = [Settlement(each, Done()) for each in answer.deliveries]
            if settled:
                quiet_since = time.monotonic()
                found.update(msgspec.json.decode(d.job.payload)["n"] for d in answer.deliveries)
            elif await self._is_empty():
                break
            else:
                await self._queue.wait(0.5)
        return found

    async def _is_empty(self) -> bool:
        depth = await self._queue.depth()
        return not (depth.inbox or depth.ready or depth.delayed or depth.leased)

    async def close(self) -> None:
        """See Client."""
        await self._queue.close()


class TableClient:
    """Inserts rows into a Postgres table, one a transaction, as an outbox is filled."""

    async def open(self, url: str) -> None:
        """See Client."""
        self._connections = [await asyncpg.connect(url) for _ in range(WRITERS)]
        self._idle = list(self._connections)
        await self._idle[0].execute("CREATE TABLE IF NOT EXISTS numbers (n bigint PRIMARY KEY)")

    async def write(self, number: int) -> None:
        """See Client; as many at once as there are connections."""
        connection = self._idle.pop()
        await connection.execute("INSERT INTO numbers VALUES ($1)", number)
        self._idle.append(connection)

    async def survivors(self) -> Collection[int]:
        """See Client."""
        return {row["n"] for row in await self._idle[0].fetch("SELECT n FROM numbers")}

    async def close(self) -> None:
        """See Client; the server may be dead."""
        for connection in self._connections:
            connection.terminate()


class Writers:
    """Writes with several writers at once, and knows what was acknowledged."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._numbers = count()
        self._tasks: list[asyncio.Task[None]] = []
        self.acknowledged: set[int] = set()

    async def write_for(self, seconds: float) -> None:
        """Begin, and return after so long while the writers go on."""
        self._tasks = [asyncio.create_task(self._write()) for _ in range(WRITERS)]
        await asyncio.wait(self._tasks, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
        for task in self._tasks:
            if task.done():
                task.result()

    async def stop(self) -> None:
        """End the writers; whatever they are still told is not heard."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _write(self) -> None:
        for number in self._numbers:
            await self._client.write(number)
            self.acknowledged.add(number)
