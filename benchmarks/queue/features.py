"""What our queue can do beyond running jobs, each as a job that uses it: what does it cost?

A feature that the queue's `capabilities` lack is left out of the table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from shared.jobs import Priority
from shared.queue.port import LaneLimits

LANES = 100


def _nothing(_: int) -> dict[str, Any]:
    return {}


class Feature(msgspec.Struct, frozen=True, kw_only=True):
    """How the jobs of a run, or the queue, differ from plain ones."""

    what: str = ""
    capability: str = ""
    """The field of Capabilities without which it cannot be used."""
    job: Callable[[int], dict[str, Any]] = _nothing
    """Job number to further fields of shared.jobs.Job."""
    lane_limits: Mapping[str, LaneLimits] = {}
    with_result: bool = False


FEATURES: dict[str, Feature] = {
    "": Feature(what="nothing"),
    "priority": Feature(
        what="three priorities",
        capability="priority",
        job=lambda n: {"priority": Priority(n % 3)},
    ),
    "dedup": Feature(
        what="a deduplication key each",
        capability="deduplication",
        job=lambda n: {"dedup_key": f"doc-{n:010}"},
    ),
    "dedup_window": Feature(
        what="a deduplication window each",
        capability="dedup_window",
        job=lambda n: {"dedup_key": f"doc-{n:010}", "dedup_window_seconds": 60.0},
    ),
    "delay": Feature(what="a delay, over by now", job=lambda _: {"delay_seconds": 0.001}),
    "lanes": Feature(
        what=f"{LANES} lanes with a cap",
        capability="lanes",
        job=lambda n: {"lane": f"tenant-{n % LANES}"},
        lane_limits={"*": LaneLimits(max_running=1000)},
    ),
    "results": Feature(
        what="a result each, kept 60 s",
        capability="results",
        job=lambda _: {"keep_result_seconds": 60.0},
        with_result=True,
    ),
    "headers": Feature(
        what="a trace context each, carried only",
        job=lambda n: {"headers": (("traceparent", f"00-{n:032x}-{n:016x}-01"),)},
    ),
}
