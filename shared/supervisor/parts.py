"""What a worker package hands to `run_worker`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import msgspec

if TYPE_CHECKING:
    from shared.supervisor.fork_server import ForkServer

Probe = Callable[[], Awaitable[object]]
"""Asks a dependency something cheap; raises when it does not answer."""


class Service(Protocol):
    """Runs beside the pools: a relay, a feeder, a commit group. A pool is one too."""

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set, finish what was begun, return. An exception ends the worker."""
        ...


class ProcessContext(msgspec.Struct, frozen=True):
    """Which of the group's processes this is, and what it may use."""

    index: int
    """0 to count - 1."""
    count: int
    worker_id: str
    """Unique among running processes, for consumer names and logs: host, pid, index."""
    fork_server: ForkServer
    """Forks helper processes, such as parsers."""


async def _nothing() -> None:
    """Nothing needs closing."""


class WorkerParts(msgspec.Struct, frozen=True, kw_only=True):
    """Everything one worker process consists of."""

    pools: Sequence[Service] = ()
    """Stopped first."""
    services: Sequence[Service] = ()
    """Stopped when all pools have drained."""
    probes: Mapping[str, Probe] = {}
    """By the name of the dependency, for /health/ready."""
    close: Callable[[], Awaitable[None]] = _nothing
    """Called last, in every case."""


Build = Callable[[ProcessContext], Awaitable[WorkerParts]]
"""Builds the parts inside the process that will run them, after the fork."""
