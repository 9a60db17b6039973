"""A supervised group of worker processes behind one metrics and health port."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from http import HTTPStatus
from urllib.parse import urlencode

from shared.observability.health import HealthServer, Query, Response, Route
from shared.observability.logs import get_logger
from shared.observability.metrics import MetricsTable
from shared.settings import WorkerSettings
from shared.supervisor.fork_server import Child, ForkServer
from shared.supervisor.heartbeat import ProcessMetrics
from shared.supervisor.member_channel import READY, STOP, ask_member
from shared.supervisor.routes import metrics_routes
from shared.supervisor.signals import stop_on_signals

log = get_logger(__name__)

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
STEADY_SECONDS = 60.0
"""A process that ran for so long may be restarted without a longer pause."""
SPARE_SECONDS = 20.0
"""What a process may take beyond its grace time before it is killed."""
UNUSABLE = frozenset({2, 3, 4})
"""Exit codes of a worker whose settings or servers are wrong: see shared/errors.py."""
ASK_SECONDS = 70.0


def pause_before_restart(last: float, ran_seconds: float) -> float:
    """Return how long to wait: twice the last pause within bounds, afresh after a steady run."""
    if ran_seconds > STEADY_SECONDS:
        return FIRST_PAUSE_SECONDS
    return min(LONGEST_PAUSE_SECONDS, max(FIRST_PAUSE_SECONDS, last * 2))


class Group:
    """Starts the processes, replaces those that end, and ends with them."""

    def __init__(
        self,
        settings: WorkerSettings,
        table: MetricsTable,
        metrics: ProcessMetrics,
        fork_server: ForkServer,
    ) -> None:
        self._settings = settings
        self._table = table
        self._metrics = metrics
        self._fork_server = fork_server
        self._children: dict[int, Child] = {}
        self._ready: set[int] = set()
        self._was_ready = False
        self._code = 0
        self._stop = asyncio.Event()

    async def run(self, targets: Sequence[str]) -> int:
        """Run until a signal comes or the group is of no use; return the exit code.

        A process that ends because its settings or servers are wrong, before any was ready,
        ends the group with its code; later it is restarted like one that crashed.
        """
        stop_on_signals(self._stop)
        routes = metrics_routes(self._table, self._metrics) | self._routes()
        server = HealthServer(routes)
        await server.listen(self._settings.metrics_host, self._settings.metrics_port)
        log.info("listening", host=self._settings.metrics_host, port=server.port)
        try:
            async with asyncio.TaskGroup() as members:
                for index, target in enumerate(targets):
                    members.create_task(self._keep_running(index, target))
        finally:
            server.close()
        return self._code

    async def _keep_running(self, index: int, target: str) -> None:
        restarts = self._metrics.restarts.cell()
        pause = 0.0
        while not self._stop.is_set():
            started = time.monotonic()
            status = await self._run_once(index, target)
            if self._stop.is_set() or self._is_hopeless(status):
                self._code = self._code or (status if status >= 0 else 1)
                self._stop.set()
                return
            restarts.add()
            pause = pause_before_restart(pause, time.monotonic() - started)
            log.warning("process_ended", index=index, status=status, restart_in=pause)
            await self._sleep(pause)

    async def _run_once(self, index: int, target: str) -> int:
        child = await self._fork_server.spawn(target, can_fork=True)
        log.info("process_started", index=index, pid=child.pid)
        self._children[index] = child
        listening = asyncio.create_task(self._listen(index, child))
        stopping = asyncio.create_task(self._stop_child(child))
        try:
            return await child.exited()
        finally:
            del self._children[index]
            self._ready.discard(index)
            for task in (listening, stopping):
                task.cancel()
            await asyncio.gather(listening, stopping, return_exceptions=True)
            child.channel.close()
            self._table.fold(index)

    async def _listen(self, index: int, child: Child) -> None:
        loop = asyncio.get_running_loop()
        if await loop.sock_recv(child.channel, 1) == READY:
            self._ready.add(index)
            if not self._was_ready and len(self._ready) == self._settings.processes:
                self._was_ready = True
                log.info("group_ready", processes=self._settings.processes)

    async def _stop_child(self, child: Child) -> None:
        await self._stop.wait()
        await asyncio.get_running_loop().sock_sendall(child.channel, STOP)
        await asyncio.sleep(self._settings.grace_seconds + SPARE_SECONDS)
        log.warning("process_killed", pid=child.pid)
        child.kill()

    def _is_hopeless(self, status: int) -> bool:
        return not self._was_ready and status in UNUSABLE

    async def _sleep(self, seconds: float) -> None:
        stopping = asyncio.ensure_future(self._stop.wait())
        await asyncio.wait({stopping}, timeout=seconds)
        stopping.cancel()

    def _routes(self) -> dict[str, Route]:
        return {
            "/health/ready": self._are_ready,
            "/debug/tasks": self._forward("/debug/tasks"),
            "/debug/profile": self._forward("/debug/profile"),
        }

    async def _are_ready(self, query: Query) -> Response:
        missing = set(range(self._settings.processes)) - self._ready
        if missing:
            text = f"not ready: process {', '.join(map(str, sorted(missing)))}\n"
            return Response(text.encode(), HTTPStatus.SERVICE_UNAVAILABLE)
        return await self._ask_all("/health/ready")

    def _forward(self, path: str) -> Route:
        async def route(query: Query) -> Response:
            return await self._ask_all(f"{path}?{urlencode(query)}")

        return route

    async def _ask_all(self, target: str) -> Response:
        children = sorted(self._children.items())
        answers = await asyncio.gather(*(_ask(child, target) for _, child in children))
        worst = max((status for status, _ in answers), default=503)
        parts = [
            f"# process {index}\n".encode() + body
            for (index, _), (_, body) in zip(children, answers, strict=True)
        ]
        return Response(b"\n".join(parts), HTTPStatus(worst))


async def _ask(child: Child, target: str) -> tuple[int, bytes]:
    try:
        async with asyncio.timeout(ASK_SECONDS):
            return await ask_member(child.channel, target)
    except (OSError, TimeoutError) as error:
        return 503, f"no answer: {error}\n".encode()
