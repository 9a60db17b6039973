"""What a pool counts. The names and buckets of the first two are a contract with dashboards."""

from __future__ import annotations

from collections.abc import Sequence

from shared.observability.metrics import (
    CounterCell,
    GaugeCell,
    HistogramCell,
    MetricsTable,
)

VERDICTS = ("done", "retry", "snooze", "hand_back", "discard", "dead_letter")
UNKNOWN = "unknown"
"""The job_type label of jobs no processor is there for; their own types are not bounded."""


class JobTypeCells:
    """The cells of one job type."""

    success: CounterCell
    failure: CounterCell
    duration: HistogramCell
    abandoned: CounterCell
    dead_letters: CounterCell
    verdicts: dict[str, CounterCell]


class PoolMetrics:
    """Declares the metrics of all pools of a worker; job types must be known before the fork."""

    def __init__(self, table: MetricsTable, job_types: Sequence[str]) -> None:
        by_type = {"job_type": [*job_types, UNKNOWN]}
        processed = table.counter(
            "worker_jobs_processed_total",
            "Executions by outcome.",
            by_type | {"status": ["success", "failure"]},
        )
        duration = table.histogram(
            "worker_job_duration_seconds",
            "Time from the start of an execution to its end.",
            by_type,
        )
        verdicts = table.counter(
            "worker_verdicts_total",
            "Verdicts given, by job type.",
            by_type | {"verdict": list(VERDICTS)},
        )
        dead = table.counter("worker_dead_letters_total", "Jobs dead-lettered.", by_type)
        abandoned = table.counter(
            "worker_jobs_abandoned_total", "Jobs that ignored their cancellation.", by_type
        )
        self._cells: dict[str, JobTypeCells] = {}
        for job_type in by_type["job_type"]:
            cells = self._cells[job_type] = JobTypeCells()
            cells.success = processed.cell(job_type, "success")
            cells.failure = processed.cell(job_type, "failure")
            cells.duration = duration.cell(job_type)
            cells.abandoned = abandoned.cell(job_type)
            cells.dead_letters = dead.cell(job_type)
            cells.verdicts = {verdict: verdicts.cell(job_type, verdict) for verdict in VERDICTS}
        self.leases_lost: CounterCell = table.counter(
            "worker_leases_lost_total", "Leases that ran out while their job was held."
        ).cell()
        self.refused: CounterCell = table.counter(
            "worker_settlements_refused_total", "Verdicts that came after their lease was lost."
        ).cell()
        self.slots: GaugeCell = table.gauge("worker_slots", "Slots.").cell()
        self.slots_busy: GaugeCell = table.gauge("worker_slots_busy", "Slots at work.").cell()
        self.exchanged_at: GaugeCell = table.gauge(
            "worker_progress_age_seconds",
            "Seconds since the slowest process last heard from its work source.",
            fold="age",
        ).cell()

    def of(self, job_type: str) -> JobTypeCells:
        """Return the cells of a job type.

        Raises ValueError when it was not declared.
        """
        try:
            return self._cells[job_type]
        except KeyError:
            known = ", ".join(self._cells)
            raise ValueError(
                f"no metrics are declared for job type {job_type!r}; declared: {known}"
            ) from None
