"""The search index as a target: one reconcile job for each changed document."""

from __future__ import annotations

from collections.abc import Sequence

from shared.contracts.jobs import INDEX_DOCUMENT, DocumentJob
from shared.documents.port import DocumentKey
from shared.jobs import Job, new_job
from shared.queue.port import Queue
from sync.metrics import SyncMetrics


class IndexJobs:
    """Publishes to the queue of worker-indexer.

    Always `index_document`: a row that is gone by the time the job runs becomes a tombstone all
    the same, and jobs of one type fold while they wait.
    """

    def __init__(self, queue: Queue, metrics: SyncMetrics) -> None:
        self._queue = queue
        self._metrics = metrics
        self._folds = queue.capabilities.deduplication

    async def publish(self, keys: Sequence[DocumentKey]) -> None:
        """Publish a job for each key.

        A document whose job still waits gets no second one, where the broker can tell.
        """
        published = await self._queue.publish([_job(key, folds=self._folds) for key in keys])
        self._metrics.accepted.add(published.accepted)
        self._metrics.folded.add(published.duplicates)


def _job(key: DocumentKey, *, folds: bool) -> Job:
    return new_job(
        INDEX_DOCUMENT,
        DocumentJob(document_id=key.id, source=key.source),
        id=key.id,
        dedup_key=f"{key.source}/{key.id}" if folds else "",
    )
