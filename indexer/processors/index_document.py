"""`index_document`: bring a document of the index in step with Postgres."""

from __future__ import annotations

from collections.abc import Sequence

from indexer.processors.settle_batch import RETRY, TIMEOUT_SECONDS, Batch, BatchSettler
from shared.contracts.jobs import INDEX_DOCUMENT, DocumentJob
from shared.verdicts import Verdict


class IndexDocument:
    """Reconciles whole batches; a document that is gone becomes a tombstone."""

    job_type = INDEX_DOCUMENT
    payload_type = DocumentJob
    timeout_seconds = TIMEOUT_SECONDS
    retry = RETRY

    def __init__(self, settler: BatchSettler, *, batch_size: int, linger_seconds: float) -> None:
        self._settler = settler
        self.batch_size = batch_size
        self.linger_seconds = linger_seconds

    async def process_batch(self, batch: Batch) -> Sequence[Verdict]:
        """Return one verdict for each job; one bad document spoils no other."""
        return await self._settler.settle(batch)
