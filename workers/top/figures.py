"""Figures of a worker from two looks at its /metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf

import msgspec
from prometheus_client.parser import text_string_to_metric_families

Labels = tuple[tuple[str, str], ...]
Samples = Mapping[tuple[str, Labels], float]

_PROCESSED = "worker_jobs_processed_total"
_BUCKET = "worker_job_duration_seconds_bucket"
_DEAD = "worker_dead_letters_total"
_REST = "crawler_host_rest_seconds_total"


class TypeFigures(msgspec.Struct, frozen=True, kw_only=True):
    """One job type of one worker, between two looks."""

    job_type: str
    per_second: float
    failures_per_second: float
    dead_per_second: float
    p50_seconds: float | None
    """Upper bound of the bucket that holds the median; None when nothing ran."""
    p99_seconds: float | None


class WorkerFigures(msgspec.Struct, frozen=True, kw_only=True):
    """One worker's /metrics, between two looks."""

    where: str
    slots: int
    busy: int
    hosts_at_rest: float | None
    """How many fetches waited for their host, on average; None for all but crawlers."""
    types: Sequence[TypeFigures]


def samples_of(text: str) -> Samples:
    """Read the Prometheus text format. Raises ValueError when it is none."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def figures(where: str, before: Samples, after: Samples, seconds: float) -> WorkerFigures:
    """Compare two looks that were `seconds` apart; a worker that started anew counts from 0."""
    rest = (_REST, ())
    return WorkerFigures(
        where=where,
        slots=int(after.get(("worker_slots", ()), 0)),
        busy=int(after.get(("worker_slots_busy", ()), 0)),
        hosts_at_rest=_rise(before, after, rest) / seconds if rest in after else None,
        types=[
            found
            for job_type in _job_types(after)
            if (found := _of_type(job_type, before, after, seconds)) is not None
        ],
    )


def _of_type(job_type: str, before: Samples, after: Samples, seconds: float) -> TypeFigures | None:
    label = ("job_type", job_type)
    success, failure = (
        _rise(before, after, (_PROCESSED, (label, ("status", status))))
        for status in ("success", "failure")
    )
    if job_type == "unknown" and not after.get((_DEAD, (label,))):
        return None
    buckets = _buckets(before, after, label)
    return TypeFigures(
        job_type=job_type,
        per_second=(success + failure) / seconds,
        failures_per_second=failure / seconds,
        dead_per_second=_rise(before, after, (_DEAD, (label,))) / seconds,
        p50_seconds=_quantile(buckets, 0.5),
        p99_seconds=_quantile(buckets, 0.99),
    )


def _job_types(samples: Samples) -> list[str]:
    return sorted({dict(labels)["job_type"] for name, labels in samples if name == _PROCESSED})


def _rise(before: Samples, after: Samples, key: tuple[str, Labels]) -> float:
    now, then = after.get(key, 0.0), before.get(key, 0.0)
    return now - then if now >= then else now


def _buckets(before: Samples, after: Samples, label: tuple[str, str]) -> list[tuple[float, float]]:
    """Return (upper bound, observations up to it) between the two looks, in rising order."""
    found = []
    for name, labels in after:
        if name == _BUCKET and label in labels:
            bound = float(dict(labels)["le"])
            found.append((bound, _rise(before, after, (name, labels))))
    return sorted(found)


def _quantile(buckets: Sequence[tuple[float, float]], share: float) -> float | None:
    total = buckets[-1][1] if buckets else 0.0
    if not total:
        return None
    return next((bound for bound, count in buckets if count >= share * total), inf)
