"""A process in a seat of a group: when it is ready, what it needs, how it ends."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from shared.observability.logs import get_logger
from shared.observability.metrics import MetricsTable
from shared.supervisor.fork_server import Child
from shared.supervisor.member_channel import READY, STOP

log = get_logger(__name__)

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Occupant:
    """A process in a seat."""

    def __init__(
        self,
        child: Child,
        row: int,
        table: MetricsTable,
        on_ready: Callable[[], None],
        allowed_seconds: float,
    ) -> None:
        self.child = child
        self.row = row
        self.ready = asyncio.Event()
        self._table = table
        self._on_ready = on_ready
        self._allowed_seconds = allowed_seconds
        self.became_ready = asyncio.create_task(self._listen())
        self._stopping: asyncio.Task[None] | None = None
        self.ended = asyncio.create_task(self._end())

    def stop(self) -> None:
        """Ask the process to drain; it is killed when it takes longer than it is allowed."""
        if self._stopping is None and not self.ended.done():
            self._stopping = asyncio.create_task(self._stop())

    def memory_bytes(self) -> int:
        """Return its resident memory; 0 when it is gone."""
        try:
            pages = int(Path(f"/proc/{self.child.pid}/statm").read_text().split()[1])
        except (OSError, IndexError):
            return 0
        return pages * PAGE_BYTES

    async def _listen(self) -> None:
        """End when the process is ready; the end of a process that never was cancels this."""
        with suppress(ConnectionError):
            if await asyncio.get_running_loop().sock_recv(self.child.channel, 1) == READY:
                self.ready.set()
                self._on_ready()
                return
        await self.child.exited()

    async def _stop(self) -> None:
        try:
            await asyncio.get_running_loop().sock_sendall(self.child.channel, STOP)
        except OSError:
            return  # it has just ended
        await asyncio.sleep(self._allowed_seconds)
        log.warning("process_killed", pid=self.child.pid)
        self.child.kill()

    async def _end(self) -> int:
        status = await self.child.exited()
        self.ready.clear()
        for task in filter(None, (self.became_ready, self._stopping)):
            task.cancel()
            await asyncio.wait({task})
        self.child.channel.close()
        self._table.fold(self.row)
        return status
