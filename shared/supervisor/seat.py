"""One place in a group: a process, its restarts, and the change to a successor."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from shared.errors import DependencyError
from shared.observability.logs import get_logger
from shared.observability.metrics import CounterCell, MetricsTable
from shared.supervisor.fork_server import ForkRefusedError, ForkServer
from shared.supervisor.occupant import Occupant

log = get_logger(__name__)

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
STEADY_SECONDS = 60.0
"""A process that ran for so long may be restarted without a longer pause."""


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

        A process that cannot be forked counts as one that ended with the code of DependencyError.
        Returns the exit code of the last one. Raises DependencyError when the fork server is gone.
        """
        pause, status = 0.0, 0
        while not self._stop.is_set():
            started = time.monotonic()
            try:
                status = await self._occupied()
            except ForkRefusedError as error:
                log.error("process_not_started", index=self.index, error=str(error))
                status = error.exit_code
            if self._stop.is_set() or hopeless(status):
                break
            pause = pause_before_restart(pause, time.monotonic() - started)
            log.warning("process_restarting", index=self.index, status=status, restart_in=pause)
            await self._pause(pause)
        return await self._drained(status)

    async def change(self, reason: str) -> bool:
        """Start a successor, and let the present process drain once it is ready.

        False, and nothing changes, when there is no process or its successor cannot start.
        """
        async with self._changing:
            old = self.occupant
            if self._stop.is_set() or old is None or not old.ready.is_set():
                return False
            log.info("process_changing", index=self.index, pid=old.child.pid, reason=reason)
            new = await self._successor(old)
            if new is None:
                log.warning("process_not_changed", index=self.index, pid=old.child.pid)
                return False
            self._occupant = new
            old.stop()
            await old.ended
            return True

    async def _successor(self, old: Occupant) -> Occupant | None:
        """Return one that is ready; None when it cannot start, or the stop comes before it is."""
        try:
            new = await self._start(self._rows[1] if old.row == self._rows[0] else self._rows[0])
        except DependencyError as error:
            log.error("process_not_started", index=self.index, error=str(error))
            return None
        await self._first_of(new.became_ready, new.ended, old.ended)
        if new.ready.is_set() and not self._stop.is_set():
            return new
        new.stop()
        await new.ended
        return None

    async def _occupied(self) -> int:
        """Run a process and its successors until one ends that has none; return its exit code.

        Returns 0 at the stop, while the process still runs.
        """
        async with self._changing:
            occupant = self.occupant or await self._occupy()
        while not self._stop.is_set():
            await self._first_of(occupant.ended)
            if occupant is self._occupant and occupant.ended.done():
                return occupant.ended.result()
            occupant = self._occupant or occupant
        return 0

    async def _occupy(self) -> Occupant:
        replaced = self._occupant is not None
        self._occupant = await self._start(self._rows[0])
        if replaced:
            self._restarts.add()
        return self._occupant

    async def _drained(self, status: int) -> int:
        """Let whoever is in this seat drain; return its exit code, `status` when there is none."""
        last = self.occupant
        if last is not None:
            last.stop()  # at once: a change in the middle holds the lock until the other has ended
        async with self._changing:
            last = self.occupant or last
            if last is None:
                return status
            last.stop()
            return await last.ended

    async def _start(self, row: int) -> Occupant:
        child = await self._fork_server.spawn(target_of(row), can_fork=True)
        log.info("process_started", index=self.index, pid=child.pid)
        return Occupant(child, row, self._table, self._on_ready, self._allowed_seconds)

    async def _first_of(self, *events: asyncio.Future[Any]) -> None:
        """Wait for one of these, or for the stop."""
        stopping = asyncio.ensure_future(self._stop.wait())
        await asyncio.wait({stopping, *events}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()

    async def _pause(self, seconds: float) -> None:
        stopping = asyncio.ensure_future(self._stop.wait())
        await asyncio.wait({stopping}, timeout=seconds)
        stopping.cancel()
