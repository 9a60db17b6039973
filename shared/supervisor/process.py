"""One worker process: builds its parts, runs them, stops them in order."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Sequence
from http import HTTPStatus

from shared.errors import WorkerSuiteError
from shared.extras import absent
from shared.observability.health import Query, Response, Route
from shared.observability.logs import get_logger
from shared.supervisor.parts import Build, ProcessContext, Service, WorkerParts
from shared.supervisor.routes import debug_routes, probe_all

log = get_logger(__name__)

SERVICE_SECONDS = 10.0
"""How long services may take to end once the pools have drained."""


class WorkerProcess:
    """Runs in its own event loop; told to stop through an event."""

    def __init__(self, context: ProcessContext, build: Build) -> None:
        self._context = context
        self._build = build
        self._parts: WorkerParts | None = None
        self.ready = asyncio.Event()
        """Set when the parts are built and running."""

    def routes(self) -> dict[str, Route]:
        """Return what this process answers about itself."""
        return {"/health/ready": self._is_ready, **debug_routes()}

    async def run(self, stop: asyncio.Event) -> int:
        """Run until `stop` is set or something fails; return the exit code."""
        parts = self._parts = await self._built(stop)
        if parts is None:
            return 0
        try:
            self.ready.set()
            log.info("worker_ready", index=self._context.index, count=self._context.count)
            await _run_parts(parts, stop)
        finally:
            self.ready.clear()
            await parts.close()
        log.info("worker_stopped")
        return 0

    async def _built(self, stop: asyncio.Event) -> WorkerParts | None:
        building = asyncio.ensure_future(self._build(self._context))
        stopping = asyncio.ensure_future(stop.wait())
        await asyncio.wait({building, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not building.done():
            building.cancel()
            await asyncio.wait({building})
            return None
        return building.result()

    async def _is_ready(self, _: Query) -> Response:
        if self._parts is None or not self.ready.is_set():
            return Response(b"starting or stopping\n", HTTPStatus.SERVICE_UNAVAILABLE)
        return await probe_all(self._parts.probes)


def exit_code_of(error: BaseException) -> int:
    """Tell a person what ended the worker, and return the exit code that says it to a machine."""
    if isinstance(error, BaseExceptionGroup):
        return exit_code_of(error.exceptions[0])
    if isinstance(error, ModuleNotFoundError):
        error = absent(error) or error
    if isinstance(error, WorkerSuiteError):
        log.error("worker_failed", error=str(error))
        return error.exit_code
    log.error("worker_failed", error=repr(error), traceback=_text(error))
    return 1


async def _run_parts(parts: WorkerParts, stop: asyncio.Event) -> None:
    pools_stop, services_stop = asyncio.Event(), asyncio.Event()
    pools = _start(parts.pools, pools_stop)
    services = _start(parts.services, services_stop)
    for task in (*pools, *services):
        task.add_done_callback(lambda task: _stop_if_failed(task, stop))
    await stop.wait()
    pools_stop.set()
    await asyncio.gather(*pools, return_exceptions=True)
    services_stop.set()
    if services:
        _, late = await asyncio.wait(services, timeout=SERVICE_SECONDS)
        for task in late:
            log.warning("service_did_not_stop", service=task.get_name())
            task.cancel()
        await asyncio.gather(*services, return_exceptions=True)
    for task in [*pools, *services]:
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error


def _start(services: Sequence[Service], stop: asyncio.Event) -> list[asyncio.Task[None]]:
    return [
        asyncio.create_task(service.run(stop), name=type(service).__name__) for service in services
    ]


def _stop_if_failed(task: asyncio.Task[None], stop: asyncio.Event) -> None:
    if task.cancelled() or task.exception() is not None:
        stop.set()


def _text(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))
