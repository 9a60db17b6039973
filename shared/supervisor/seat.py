"""One place in a group: a process, its restarts, and the change to a successor."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from shared.observability.logs import get_logger
from shared.observability.metrics import CounterCell, MetricsTable
from shared.supervisor.fork_server import Child, ForkServer
from shared.supervisor.member_channel import READY, STOP

log = get_logger(__name__)

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
STEADY_SECONDS = 60.0
"""A process that ran for so long may be restarted without a longer pause."""
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def pause_before_restart(last: float, ran_seconds: float) -> float:
    """Return how long to wait: twice the last pause within bounds, afresh after a steady run."""
    if ran_seconds > STEADY_SECONDS:
        return FIRST_PAUSE_SECONDS
    return min(LONGEST_PAUSE_SECONDS, max(FIRST_PAUSE_SECONDS, last * 2))


def rows_of(index: int, processes: int) -> tuple[int, int]:
    """Return a seat's two rows of the metrics table: a process and its successor use both."""
    return index, index + processes


def target_of(row: int) -> str:
    """Name what the fork server calls for a row."""
    return f"worker-{row}"


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
        if self._stopping is None:
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


class Seat:
    """Keeps one process running, and changes it for a fresh one without a gap."""

    def __init__(
        self,
        index: int,
        rows: tuple[int, int],
        fork_server: ForkServer,
        table: MetricsTable,
        restarts: CounterCell,
        stop: asyncio.Event,
        on_ready: Callable[[], None],
        *,
        allowed_seconds: float,
    ) -> None:
        """`on_ready` is called whenever a process of this seat has become ready.

        `allowed_seconds` is how long a process may take to drain before it is killed.
        """
        self.index = index
        self._rows = rows
        self._fork_server = fork_server
        self._table = table
        self._restarts = restarts
        self._stop = stop
        self._on_ready = on_ready
        self._allowed_seconds = allowed_seconds
        self._occupant: Occupant | None = None
        self._changing = asyncio.Lock()

    @property
    def occupant(self) -> Occupant | None:
        """The process in this seat; None while there is none."""
        there = self._occupant is not None and not self._occupant.ended.done()
        return self._occupant if there else None

    @property
    def ready(self) -> bool:
        """Whether its process is there and ready."""
        return self.occupant is not None and self.occupant.ready.is_set()

    async def keep(self, hopeless: Callable[[int], bool]) -> int:
        """Keep a process running until the stop, or until its exit code is `hopeless`.

        Returns the exit code of the last one.
        """
        pause = 0.0
        while True:
            started = time.monotonic()
            status = await self._occupied()
            if self._stop.is_set() or hopeless(status):
                return status
            self._restarts.add()
            pause = pause_before_restart(pause, time.monotonic() - started)
            log.warning("process_ended", index=self.index, status=status, restart_in=pause)
            if await self._stopped_within(pause):
                return status if status >= 0 else 1

    async def change(self, reason: str) -> bool:
        """Start a successor, and let the present process drain once it is ready.

        False, and nothing changes, when there is no process or its successor cannot start.
        """
        async with self._changing:
            old = self.occupant
            if old is None or not old.ready.is_set():
                return False
            log.info("process_changing", index=self.index, pid=old.child.pid, reason=reason)
            new = await self._start(self._rows[1] if old.row == self._rows[0] else self._rows[0])
            await self._first_of(new.became_ready, new.ended, old.ended)
            if self._stop.is_set() or not new.ready.is_set():
                log.warning("process_not_changed", index=self.index, pid=old.child.pid)
                new.stop()
                await new.ended
                return False
            self._occupant = new
            old.stop()
            await old.ended
            return True

    async def _occupied(self) -> int:
        """Run a process and its successors until one ends that has none; return its exit code."""
        async with self._changing:
            if self.occupant is None:
                self._occupant = await self._start(self._rows[0])
        while (occupant := self._occupant) is not None:
            await self._first_of(occupant.ended)
            if self._stop.is_set():
                occupant.stop()
                await occupant.ended
                async with self._changing:  # a change in the middle ends its own successor
                    return occupant.ended.result()
            if occupant is self._occupant:
                return occupant.ended.result()
        raise AssertionError("a seat loses its process only to a successor")

    async def _start(self, row: int) -> Occupant:
        child = await self._fork_server.spawn(target_of(row), can_fork=True)
        log.info("process_started", index=self.index, pid=child.pid)
        return Occupant(child, row, self._table, self._on_ready, self._allowed_seconds)

    async def _first_of(self, *events: asyncio.Future[Any]) -> None:
        """Wait for one of these, or for the stop."""
        stopping = asyncio.ensure_future(self._stop.wait())
        await asyncio.wait({stopping, *events}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()

    async def _stopped_within(self, seconds: float) -> bool:
        stopping = asyncio.ensure_future(self._stop.wait())
        await asyncio.wait({stopping}, timeout=seconds)
        stopping.cancel()
        return self._stop.is_set()
