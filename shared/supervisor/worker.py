"""Runs a worker: in this process, or as a supervised group of processes."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
from collections.abc import Coroutine, Sequence
from typing import Any

import uvloop

from shared.observability import logs
from shared.observability.health import HealthServer
from shared.observability.metrics import MetricsTable
from shared.settings import WorkerSettings
from shared.supervisor.fork_server import ForkServer
from shared.supervisor.heartbeat import ProcessMetrics
from shared.supervisor.parts import Build, ProcessContext, Service, WorkerParts
from shared.supervisor.process import WorkerProcess, exit_code_of
from shared.supervisor.routes import metrics_routes
from shared.supervisor.signals import stop_on_signals

__all__ = ["Build", "ProcessContext", "Service", "WorkerParts", "run_worker"]

log = logs.get_logger(__name__)


def run_worker(
    kind: str,
    settings: WorkerSettings,
    table: MetricsTable,
    build: Build,
    *,
    preload: Sequence[str] = (),
    helpers: Sequence[str] = (),
) -> int:
    """Run a worker until it is told to stop; return the exit code of the process.

    Must be called before any thread or event loop exists. `kind` names the worker in logs
    (`crawler`, `indexer`, `sync`). `table` must be complete: nothing can be declared afterwards.
    The fork server imports once what its children need: `preload` names the modules that `build`
    imports, which a group is forked with, and `helpers` those that helper processes need.

    SIGTERM or SIGINT: stop claiming, drain up to `settings.grace_seconds`, return 0. A second
    signal ends the process at once. SIGHUP: each process of a group is replaced by a fresh fork,
    one after the other; a worker of one process drains and returns 0. Errors of the suite are
    logged and return their exit code.
    """
    gc.freeze()  # what is there by now stays: no collection during the start looks at it again
    _configure_logs(kind, settings, 0)
    metrics = ProcessMetrics(table)
    worker = _Worker(kind, settings, table, metrics, build)
    if settings.processes == 1 and not settings.max_memory_mb:
        table.seal(1)
        fork_server = ForkServer.start(preload=helpers)
        return run_to_exit_code(worker.run_alone(fork_server))

    from shared.supervisor.group import Group

    members = worker.members()
    table.seal(len(members))
    logs.prepare()  # its own first record would; this way the processes share it
    fork_server = ForkServer.start(members, preload=[*preload, *helpers])
    return run_to_exit_code(Group(settings, table, metrics, fork_server).run())


def run_to_exit_code(main: Coroutine[Any, Any, int]) -> int:
    """Run `main` on uvloop; what it raises is told and becomes its exit code."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            return runner.run(main)
        except Exception as error:  # noqa: BLE001 - the last place that can say what happened
            return exit_code_of(error)


class _Worker:
    """What both ways of running have in common."""

    def __init__(
        self,
        kind: str,
        settings: WorkerSettings,
        table: MetricsTable,
        metrics: ProcessMetrics,
        build: Build,
    ) -> None:
        self._kind = kind
        self._settings = settings
        self._table = table
        self._metrics = metrics
        self._build = build

    async def run_alone(self, fork_server: ForkServer) -> int:
        """Run in this process, with a port of its own."""
        stop = asyncio.Event()
        stop_on_signals(stop)
        # Alone there is nobody to go on meanwhile: it drains, and whoever runs it starts it again.
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, stop.set)
        self._table.bind(0)
        process = self._process(0, fork_server)
        routes = metrics_routes(self._table, self._metrics) | process.routes()
        server = HealthServer(routes)
        await server.listen(self._settings.metrics_host, self._settings.metrics_port)
        beating = asyncio.create_task(self._metrics.run())
        log.info("listening", host=self._settings.metrics_host, port=server.port)
        try:
            return await process.run(stop)
        finally:
            beating.cancel()
            server.close()

    def members(self) -> dict[str, Member]:
        """Return what the processes of a group do, by row; called right after the fork."""
        from shared.supervisor.seat import rows_of, target_of

        count = self._settings.processes
        return {
            target_of(row): Member(self, index, row)
            for index in range(count)
            for row in rows_of(index, count)
        }

    async def run_in_group(
        self, index: int, row: int, channel: socket.socket, server: ForkServer
    ) -> int:
        """Run under a supervisor, which speaks through `channel`."""
        from shared.supervisor.member_channel import MemberChannel

        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            # Init systems signal a whole group; only the supervisor counts signals.
            loop.add_signal_handler(number, stop.set)
        _configure_logs(self._kind, self._settings, index)
        self._table.bind(row)
        process = self._process(index, server)
        supervisor = MemberChannel(channel, HealthServer(process.routes()), stop)
        beating = asyncio.create_task(self._metrics.run())
        telling = asyncio.create_task(supervisor.tell_ready(process.ready))
        try:
            return await process.run(stop)
        finally:
            beating.cancel()
            telling.cancel()
            supervisor.close()

    def _process(self, index: int, fork_server: ForkServer) -> WorkerProcess:
        context = ProcessContext(
            index=index,
            count=self._settings.processes,
            worker_id=_worker_id(index),
            fork_server=fork_server,
        )
        return WorkerProcess(context, self._build)


class Member:
    """A target of the fork server: one process of a group."""

    def __init__(self, worker: _Worker, index: int, row: int) -> None:
        self._worker = worker
        self._index = index
        self._row = row

    def __call__(self, channel: socket.socket, fork_server: ForkServer) -> int:
        """Run the worker process; called in the new process."""
        return run_to_exit_code(
            self._worker.run_in_group(self._index, self._row, channel, fork_server)
        )


def _configure_logs(kind: str, settings: WorkerSettings, index: int) -> None:
    logs.configure(
        settings.log_level, settings.log_format, worker=kind, worker_id=_worker_id(index)
    )


def _worker_id(index: int) -> str:
    return f"{socket.gethostname()}-{os.getpid()}-{index}"
