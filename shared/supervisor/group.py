"""The supervisor of a group: watches its processes, one port for all of them.

A process that ends is replaced after a pause that grows. SIGHUP replaces them all, one after the
other, each by a successor that is ready before the old one drains; so does a process that has
grown past `max_memory_mb`.
"""

from __future__ import annotations

import asyncio
import signal
from http import HTTPStatus
from urllib.parse import urlencode

from shared.observability.health import HealthServer, Query, Response, Route
from shared.observability.logs import get_logger
from shared.observability.metrics import MetricsTable
from shared.settings import WorkerSettings
from shared.supervisor.fork_server import Child, ForkServer
from shared.supervisor.heartbeat import ProcessMetrics
from shared.supervisor.member_channel import ask_member
from shared.supervisor.memory_limit import limit_memory
from shared.supervisor.routes import metrics_routes
from shared.supervisor.seat import Seat, rows_of
from shared.supervisor.signals import stop_on_signals

log = get_logger(__name__)

SPARE_SECONDS = 20.0
"""What a process may take beyond its grace time before it is killed."""
UNUSABLE = frozenset({2, 3, 4})
"""Exit codes of a worker whose settings or servers are wrong: see shared/errors.py."""
ASK_SECONDS = 70.0


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
        self._was_ready = False
        self._code = 0
        self._stop = asyncio.Event()
        self._rolling: asyncio.Task[None] | None = None
        self._seats = [
            Seat(
                index,
                rows_of(index, settings.processes),
                fork_server,
                table,
                metrics.restarts.cell(),
                self._stop,
                self._seat_ready,
                allowed_seconds=settings.grace_seconds + SPARE_SECONDS,
            )
            for index in range(settings.processes)
        ]

    async def run(self) -> int:
        """Run until a signal comes or the group is of no use; return the exit code.

        A process that ends because its settings or servers are wrong, before any was ready,
        ends the group with its code; later it is restarted like one that crashed.
        """
        stop_on_signals(self._stop)
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._roll)
        routes = metrics_routes(self._table, self._metrics) | self._routes()
        server = HealthServer(routes)
        await server.listen(self._settings.metrics_host, self._settings.metrics_port)
        log.info("listening", host=self._settings.metrics_host, port=server.port)
        limit = self._settings.max_memory_mb
        limiting = asyncio.create_task(limit_memory(self._seats, limit)) if limit else None
        try:
            async with asyncio.TaskGroup() as members:
                for seat in self._seats:
                    members.create_task(self._keep(seat))
        finally:
            for task in filter(None, (limiting, self._rolling)):
                task.cancel()
            server.close()
        return self._code

    async def _keep(self, seat: Seat) -> None:
        status = await seat.keep(self._is_hopeless)
        self._code = self._code or (status if status >= 0 else 1)
        self._stop.set()

    def _is_hopeless(self, status: int) -> bool:
        return not self._was_ready and status in UNUSABLE

    def _roll(self) -> None:
        """Change every process, one after the other; a signal during a change changes nothing."""
        if self._rolling is None or self._rolling.done():
            self._rolling = asyncio.create_task(self._change_all())

    async def _change_all(self) -> None:
        log.info("restarting", reason="SIGHUP", processes=len(self._seats))
        changed = [await seat.change("SIGHUP") for seat in self._seats]
        log.info("restarted", processes=sum(changed))

    def _seat_ready(self) -> None:
        if not self._was_ready and all(seat.ready for seat in self._seats):
            self._was_ready = True
            log.info("group_ready", processes=len(self._seats))

    def _routes(self) -> dict[str, Route]:
        return {
            "/health/ready": self._are_ready,
            "/debug/tasks": self._forward("/debug/tasks"),
            "/debug/profile": self._forward("/debug/profile"),
        }

    async def _are_ready(self, query: Query) -> Response:
        missing = [str(seat.index) for seat in self._seats if not seat.ready]
        if missing:
            text = f"not ready: process {', '.join(missing)}\n"
            return Response(text.encode(), HTTPStatus.SERVICE_UNAVAILABLE)
        return await self._ask_all("/health/ready")

    def _forward(self, path: str) -> Route:
        async def route(query: Query) -> Response:
            return await self._ask_all(f"{path}?{urlencode(query)}")

        return route

    async def _ask_all(self, target: str) -> Response:
        children = [(seat.index, seat.occupant.child) for seat in self._seats if seat.occupant]
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
