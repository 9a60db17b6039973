"""From a batch of document jobs to verdicts: the part that both job types share."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from indexer.metrics import IndexerMetrics
from indexer.processors.outage import Outage
from indexer.reconcile import Reconciled, Reconciler
from indexer.search.port import Outcome
from shared.contracts.jobs import DocumentJob
from shared.errors import (
    ConnectionLostError,
    DependencyError,
    PermanentError,
    WorkerSuiteError,
)
from shared.pool.processor import Execution
from shared.pool.retry_policy import RetryPolicy, retry_or_bury, verdict_for
from shared.verdicts import DeadLetter, Done, Snooze, Verdict

RETRY = RetryPolicy(max_attempts=12, max_delay_seconds=120.0)
"""Overload passes: a job may wait it out for some minutes."""
TIMEOUT_SECONDS = 90.0
"""Longer than one request to the index may take, with a second try after a change of epoch."""
_OUTAGE_SECONDS = (0.5, 1.5)
"""A job that met an outage is put off so long, at random; then its batch waits in a slot."""

Batch = Sequence[Execution[DocumentJob]]
Judge = Callable[[Reconciled], None]
"""Told of each document that was written."""


class BatchSettler:
    """Reconciles the documents that a batch names and turns what became of them into verdicts."""

    def __init__(
        self, reconciler: Reconciler, metrics: IndexerMetrics, default_source: str
    ) -> None:
        self._reconciler = reconciler
        self._metrics = metrics
        self._default_source = default_source
        self._outage = Outage()

    async def settle(self, batch: Batch, on_written: Judge | None = None) -> Sequence[Verdict]:
        """Return one verdict for each execution. Jobs that name one document share one write."""
        if not await self._outage.may_try():
            return _put_off(batch)
        by_source: dict[str, list[int]] = defaultdict(list)
        for position, execution in enumerate(batch):
            by_source[execution.payload.source or self._default_source].append(position)
        verdicts: dict[int, Verdict] = {}
        for source, positions in by_source.items():
            group = [batch[position] for position in positions]
            settled = await self._settle_source(source, group, on_written)
            verdicts.update(zip(positions, settled, strict=True))
        return [verdicts[position] for position in range(len(batch))]

    async def _settle_source(
        self, source: str, group: Batch, on_written: Judge | None
    ) -> Sequence[Verdict]:
        ids = [execution.payload.document_id for execution in group]
        try:
            found = await self._reconciler.reconcile(source, ids)
        except (ConnectionLostError, DependencyError) as error:
            self._outage.goes_on(error)
            return _put_off(group)
        except PermanentError as error:
            return await self._isolate(error, source, group, on_written)
        except WorkerSuiteError as error:
            return [verdict_for(error, each.delivery.attempt, RETRY) for each in group]
        self._outage.is_over()
        self._count(found, on_written)
        return [self._verdict(each, found) for each in group]

    async def _isolate(
        self, error: PermanentError, source: str, group: Batch, on_written: Judge | None
    ) -> Sequence[Verdict]:
        """Halve a group until the document that breaks the source's SQL is alone."""
        if len({each.payload.document_id for each in group}) == 1:
            return [verdict_for(error, each.delivery.attempt, RETRY) for each in group]
        ordered = sorted(range(len(group)), key=lambda at: group[at].payload.document_id)
        middle = len(ordered) // 2
        verdicts: dict[int, Verdict] = {}
        for half in (ordered[:middle], ordered[middle:]):
            settled = await self._settle_source(source, [group[at] for at in half], on_written)
            verdicts.update(zip(half, settled, strict=True))
        return [verdicts[at] for at in range(len(group))]

    def _count(self, found: Mapping[str, Reconciled], on_written: Judge | None) -> None:
        for reconciled in found.values():
            self._metrics.documents[_result(reconciled)].add()
            if on_written is not None and reconciled.outcome.outcome in _WRITTEN:
                on_written(reconciled)

    @staticmethod
    def _verdict(execution: Execution[DocumentJob], found: Mapping[str, Reconciled]) -> Verdict:
        outcome = found[execution.payload.document_id].outcome
        if outcome.outcome in _WRITTEN:
            return Done()
        if outcome.outcome is Outcome.REFUSED:
            return DeadLetter(f"the index refused the document: {outcome.reason}")
        return retry_or_bury(outcome.reason, execution.delivery.attempt, RETRY)


def _put_off(batch: Batch) -> Sequence[Verdict]:
    # A server that is away is not the job's fault: no attempt is spent.
    return [Snooze(random.uniform(*_OUTAGE_SECONDS)) for _ in batch]


_WRITTEN = (Outcome.WRITTEN, Outcome.SUPERSEDED)


def _result(reconciled: Reconciled) -> str:
    outcome = reconciled.outcome.outcome
    if outcome is Outcome.WRITTEN:
        return "indexed" if reconciled.present else "deleted"
    if outcome is Outcome.STALE:
        return "try_again"
    return str(outcome.value)
