"""The workers as processes beside each other: started, watched, restarted, stopped."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress

from shared.embedded.server_process import free_port
from shared.errors import ConfigError, DependencyError, QueueConflictError, WorkerSuiteError
from workers.child import Child
from workers.settings import SuiteSettings

_FIRST_RESTART_SECONDS = 1.0
_LAST_RESTART_SECONDS = 30.0
_POLL_SECONDS = 0.05
_HOPELESS = {ConfigError.exit_code: ConfigError, QueueConflictError.exit_code: QueueConflictError}


def worker_processes(settings: SuiteSettings, environment: Mapping[str, str]) -> list[Child]:
    """Return the three workers in the order of the data's way; nothing is started yet."""
    ports = {
        "crawler": settings.crawler_port,
        "sync": settings.sync_port,
        "indexer": settings.indexer_port,
    }
    return [_worker(kind, port, settings, environment) for kind, port in ports.items()]


class Suite:
    """Processes that belong together; they stop in their order.

    For the workers that is the order of the data's way: first who makes changes, then who passes
    them on, then who writes them, so that as little as possible is left for the next start.
    """

    def __init__(self, children: Sequence[Child], tell: Callable[[str], None]) -> None:
        self.children = children
        self._tell = tell

    async def start(self, timeout: float, stop: asyncio.Event) -> None:
        """Start all and return when each says that it is ready, or when `stop` is set.

        Raises DependencyError with the end of its log when one ends or is not ready in time.
        """
        for child in self.children:
            await child.start()
        deadline = time.monotonic() + timeout
        for child in self.children:
            while not await _ready(child, deadline):
                if await _set_within(stop, _POLL_SECONDS):
                    return

    async def run(self, stop: asyncio.Event) -> None:
        """Keep all running until `stop` is set.

        Raises ConfigError or QueueConflictError when one ends for a reason that starting it
        again cannot mend.
        """
        watchers = [asyncio.create_task(self._keep_running(child)) for child in self.children]
        stopped = asyncio.create_task(stop.wait())
        try:
            done, _ = await asyncio.wait([stopped, *watchers], return_when=asyncio.FIRST_COMPLETED)
            for ended in done:
                ended.result()
        finally:
            for task in (stopped, *watchers):
                task.cancel()
            await asyncio.gather(stopped, *watchers, return_exceptions=True)

    @asynccontextmanager
    async def kept_running(self) -> AsyncIterator[None]:
        """Keep all running inside of the block. Raises on leaving what `run` raises."""
        stop = asyncio.Event()
        keeper = asyncio.create_task(self.run(stop))
        try:
            yield
        finally:
            stop.set()
            await keeper

    async def stop(self, grace_seconds: float) -> None:
        """Stop all, in their order."""
        for child in self.children:
            await child.stop(grace_seconds)

    async def _keep_running(self, child: Child) -> None:
        pause = _FIRST_RESTART_SECONDS
        while True:
            started = time.monotonic()
            code = await child.wait()
            if code in _HOPELESS:
                raise _HOPELESS[code](f"{_ended(child, code)}\n{child.end_of_log()}")
            if time.monotonic() - started > _LAST_RESTART_SECONDS:
                pause = _FIRST_RESTART_SECONDS
            self._tell(f"{_ended(child, code)}; it starts again in {pause:.0f} s. See {child.log}")
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LAST_RESTART_SECONDS)
            await child.start()


def _worker(kind: str, port: int, settings: SuiteSettings, environment: Mapping[str, str]) -> Child:
    port = port or free_port()
    own = {"METRICS_PORT": str(port), "LOG_FORMAT": "json"}
    return Child(
        name=f"worker-{kind}",
        # -P: a directory `crawler` where the user stands is not ours.
        command=[sys.executable, "-P", "-m", kind, "run"],
        environment={**os.environ, **environment, **own},
        log=settings.directory() / "logs" / f"{kind}.log",
        port=port,
    )


async def _ready(child: Child, deadline: float) -> bool:
    if await child.is_ready():
        return True
    if not child.running:
        raise _failed(child, _ended(child, await child.wait()))
    if time.monotonic() > deadline:
        raise _failed(child, f"{child.name} is not ready in time")
    return False


async def _set_within(stop: asyncio.Event, seconds: float) -> bool:
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)
    return stop.is_set()


def _failed(child: Child, what: str) -> WorkerSuiteError:
    return DependencyError(f"{what}. The end of {child.log}:\n{child.end_of_log()}")


def _ended(child: Child, code: int) -> str:
    return f"{child.name} ended with exit code {code}"
