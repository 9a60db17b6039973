"""Hands verdicts to the ledger, counts them and logs them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shared.errors import WorkerSuiteError
from shared.jobs import Delivery
from shared.observability.logs import debug_enabled, get_logger
from shared.pool.checked_verdict import checked
from shared.pool.ledger import Ledger
from shared.pool.metrics import UNKNOWN, JobTypeCells, PoolMetrics
from shared.pool.processor import Execution
from shared.pool.retry_policy import RetryPolicy, retry_or_bury, verdict_for
from shared.verdicts import (
    DeadLetter,
    Discard,
    Done,
    HandBack,
    Retry,
    Settlement,
    Snooze,
    Verdict,
)

log = get_logger(__name__)

NAMES: dict[type[Verdict], str] = {
    Done: "done",
    Retry: "retry",
    Snooze: "snooze",
    HandBack: "hand_back",
    Discard: "discard",
    DeadLetter: "dead_letter",
}
FAILURES = (Retry, DeadLetter)


class Judge:
    """The only way from a verdict to the ledger. An execution is counted once."""

    def __init__(self, ledger: Ledger, metrics: PoolMetrics, job_types: Sequence[str]) -> None:
        self._ledger = ledger
        self._cells = {job_type: metrics.of(job_type) for job_type in job_types}
        self._unknown = metrics.of(UNKNOWN)
        self.debug = debug_enabled()
        """Whether starts are to be noted."""

    def started(self, executions: Sequence[Execution[Any]]) -> None:
        """Log that a processor is about to be called."""
        for execution in executions:
            log.debug("job_started", **_names(execution.delivery))

    def finished(self, settlements: Sequence[Settlement], durations: Sequence[float]) -> None:
        """Settle executions of one job type that all ended in Done, in one go."""
        cells = self._of(settlements[0].delivery)
        count = self._ledger.settle_all(settlements)
        cells.verdicts["done"].add(count)
        cells.success.add(count)
        cells.duration.observe_all(durations)
        if self.debug:
            for each, seconds in zip(settlements, durations, strict=True):
                log.debug("job_finished", **_names(each.delivery), duration=seconds)

    def deferred(self, delivery: Delivery, seconds: float) -> None:
        """Note that a processor is done and its verdict will follow."""
        self._cells[delivery.job.type].duration.observe(seconds)

    def abandoned(self, delivery: Delivery, *, in_thread: bool = False) -> None:
        """Note that a job goes on though it was cancelled and its slot replaced."""
        self._cells[delivery.job.type].abandoned.add()
        log.warning("job_abandoned", **_names(delivery), in_thread=in_thread)

    def unstarted(self, delivery: Delivery, verdict: Verdict) -> None:
        """Settle what no processor has worked on."""
        if self._ledger.settle(delivery, verdict):
            self._count(self._of(delivery), verdict)
            if isinstance(verdict, DeadLetter):
                log.warning("job_refused", **_names(delivery), reason=verdict.reason)

    def executed(
        self,
        delivery: Delivery,
        verdict: Verdict,
        policy: RetryPolicy,
        seconds: float | None,
        error: BaseException | None,
    ) -> None:
        """Settle an execution; `seconds` is None when its duration was noted before.

        A verdict that is none counts as a TypeError of the processor.
        """
        if type(verdict) is not Done:
            try:
                verdict = checked(verdict)
            except TypeError as fault:
                error, verdict = fault, verdict_for(fault, delivery.attempt, policy)
        if type(verdict) is Retry and verdict.after is None:
            verdict = retry_or_bury(verdict.error, delivery.attempt, policy)
        if not self._ledger.settle(delivery, verdict):
            return
        cells = self._of(delivery)
        self._count(cells, verdict)
        if type(verdict) is HandBack:
            return
        failed = isinstance(verdict, FAILURES)
        (cells.failure if failed else cells.success).add()
        if seconds is not None:
            cells.duration.observe(seconds)
        if failed:
            _log_failure(delivery, verdict, seconds, error)
        elif self.debug:
            log.debug("job_finished", **_names(delivery), duration=seconds)

    def _of(self, delivery: Delivery) -> JobTypeCells:
        return self._cells.get(delivery.job.type, self._unknown)

    def _count(self, cells: JobTypeCells, verdict: Verdict) -> None:
        cells.verdicts[NAMES[type(verdict)]].add()
        if type(verdict) is DeadLetter:
            cells.dead_letters.add()


def _names(delivery: Delivery) -> dict[str, Any]:
    job = delivery.job
    return {"job_id": job.id or job.key, "job_type": job.type, "attempt": delivery.attempt}


def _log_failure(
    delivery: Delivery, verdict: Verdict, seconds: float | None, error: BaseException | None
) -> None:
    # What the suite raises on purpose says enough in its message; a surprise needs its traceback.
    surprise = error if error is not None and not isinstance(error, WorkerSuiteError) else None
    log.warning(
        "job_failed",
        **_names(delivery),
        duration=seconds,
        verdict=NAMES[type(verdict)],
        error=getattr(verdict, "error", "") or getattr(verdict, "reason", ""),
        exc_info=surprise,
    )
