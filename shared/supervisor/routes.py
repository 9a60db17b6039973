"""What one process answers on its metrics and health port."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Mapping
from http import HTTPStatus

from shared.observability.health import BadQueryError, Query, Response, Route
from shared.observability.metrics import MetricsTable
from shared.observability.profiling import profile, task_stacks
from shared.supervisor.heartbeat import ProcessMetrics
from shared.supervisor.parts import Probe

PROBE_SECONDS = 3.0
MAX_PROFILE_SECONDS = 60.0


def metrics_routes(table: MetricsTable, process: ProcessMetrics) -> dict[str, Route]:
    """Return /metrics and /health/live for everybody in the table."""

    async def metrics(_: Query) -> Response:
        from shared.observability.exposition import CONTENT_TYPE, expose

        return Response(expose(table), content_type=CONTENT_TYPE)

    async def live(_: Query) -> Response:
        stuck = process.stuck(time.monotonic())
        if stuck:
            text = f"the event loop of process {', '.join(map(str, stuck))} does not move\n"
            return Response(text.encode(), HTTPStatus.SERVICE_UNAVAILABLE)
        return Response(b"alive\n")

    return {"/metrics": metrics, "/health/live": live}


def debug_routes() -> dict[str, Route]:
    """Return the routes that look into this process."""
    profiling = asyncio.Lock()

    async def tasks(_: Query) -> Response:
        return Response(task_stacks().encode())

    async def profiled(query: Query) -> Response:
        seconds = _seconds(query.get("seconds", "5"))
        if profiling.locked():
            return Response(b"a profile is being taken\n", HTTPStatus.CONFLICT)
        async with profiling:
            return Response((await profile(seconds)).encode())

    return {"/debug/tasks": tasks, "/debug/profile": profiled}


async def probe_all(probes: Mapping[str, Probe]) -> Response:
    """Ask every dependency at once; 200 when all answer in time, else 503; a line for each."""
    said = await asyncio.gather(*(_ask(probe) for probe in probes.values()))
    lines = [f"{name}: {answer or 'ok'}\n" for name, answer in zip(probes, said, strict=True)]
    status = HTTPStatus.SERVICE_UNAVAILABLE if any(said) else HTTPStatus.OK
    return Response("".join(lines or ["ready\n"]).encode(), status)


async def _ask(probe: Probe) -> str:
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            await probe()
    except TimeoutError:
        return f"no answer in {PROBE_SECONDS:g} s"
    except Exception as error:  # noqa: BLE001 - whatever a client raises means: not ready
        return f"{type(error).__name__}: {error}".splitlines()[0]
    return ""


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds <= MAX_PROFILE_SECONDS:
        raise BadQueryError(f"seconds={text}: a number above 0 and up to {MAX_PROFILE_SECONDS:g}")
    return seconds
