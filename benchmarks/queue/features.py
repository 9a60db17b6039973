"""What our queue and pool can do beyond running jobs, each used by every job: what does it cost?

A feature that the queue's `capabilities` lack is left out of the table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from shared.jobs import Priority
from shared.pool.middleware import CallNext, Middleware
from shared.queue.port import LaneLimits

LANES = 100


class Timed:
    """The smallest useful middleware: it acts before and after."""

    def __init__(self) -> None:
        self.calls = 0

    async def __call__(self, execution: Any, call_next: CallNext) -> Any:
        """Count."""
        verdict = await call_next(execution)
        self.calls += 1
        return verdict


def _tracing() -> Sequence[Middleware]:
    from opentelemetry.sdk.trace import TracerProvider

    from shared.pool.tracing import Tracing

    return [Tracing("redis", "bench", tracer_provider=TracerProvider())]


def _trace_context(n: int) -> dict[str, Any]:
    return {"headers": (("traceparent", f"00-{n + 1:032x}-{n + 1:016x}-01"),)}


class Feature(msgspec.Struct, frozen=True, kw_only=True):
    """How the jobs of a run, the queue or the pool differ from plain ones."""

    what: str
    capability: str = ""
    """The field of Capabilities without which it cannot be used."""
    job: Callable[[int], dict[str, Any]] = lambda _: {}
    """Job number to further fields of shared.jobs.Job."""
    lane_limits: Mapping[str, LaneLimits] = {}
    with_result: bool = False
    in_threads: bool = False
    middleware: Callable[[], Sequence[Middleware]] = lambda: ()
    needs_sdk: bool = False
    """Needs the OpenTelemetry SDK, which is in the developers' environment only."""


FEATURES: dict[str, Feature] = {
    "": Feature(what="nothing"),
    "priority": Feature(
        what="three priorities",
        capability="priority",
        job=lambda n: {"priority": Priority(n % 3)},
    ),
    "dedup": Feature(
        what="a deduplication key",
        capability="deduplication",
        job=lambda n: {"dedup_key": f"doc-{n:010}"},
    ),
    "dedup_window": Feature(
        what="a deduplication key with a window",
        capability="dedup_window",
        job=lambda n: {"dedup_key": f"doc-{n:010}", "dedup_window_seconds": 60.0},
    ),
    "delay": Feature(what="a delay, over by now", job=lambda _: {"delay_seconds": 0.001}),
    "lanes": Feature(
        what=f"one of {LANES} lanes with a cap",
        capability="lanes",
        job=lambda n: {"lane": f"tenant-{n % LANES}"},
        lane_limits={"*": LaneLimits(max_running=1000)},
    ),
    "results": Feature(
        what="a result that is kept",
        capability="results",
        job=lambda _: {"keep_result_seconds": 60.0},
        with_result=True,
    ),
    "headers": Feature(what="a trace context, carried only", job=_trace_context),
    "middleware": Feature(what="a middleware", middleware=lambda: [Timed()]),
    "tracing": Feature(
        what="tracing, with the SDK", job=_trace_context, middleware=_tracing, needs_sdk=True
    ),
    "threads": Feature(what="a processor in threads", in_threads=True),
}
