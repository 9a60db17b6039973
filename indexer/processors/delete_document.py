"""`delete_document`: the same as `index_document`, for Postgres decides what is deleted."""

from __future__ import annotations

from collections.abc import Sequence

from indexer.metrics import IndexerMetrics
from indexer.processors.settle_batch import RETRY, TIMEOUT_SECONDS, Batch, BatchSettler
from indexer.reconcile import Reconciled
from shared.contracts.jobs import DELETE_DOCUMENT, DocumentJob
from shared.observability.logs import get_logger
from shared.verdicts import Verdict

log = get_logger(__name__)


class DeleteDocument:
    """Reconciles whole batches; a document whose row still lives is indexed again and counted."""

    job_type = DELETE_DOCUMENT
    payload_type = DocumentJob
    timeout_seconds = TIMEOUT_SECONDS
    retry = RETRY

    def __init__(
        self,
        settler: BatchSettler,
        metrics: IndexerMetrics,
        *,
        batch_size: int,
        linger_seconds: float,
    ) -> None:
        self._settler = settler
        self._delete_refused = metrics.documents["delete_refused"]
        self.batch_size = batch_size
        self.linger_seconds = linger_seconds

    async def process_batch(self, batch: Batch) -> Sequence[Verdict]:
        """Return one verdict for each job; one bad document spoils no other."""
        return await self._settler.settle(batch, self._note_refusal)

    def _note_refusal(self, reconciled: Reconciled) -> None:
        if reconciled.present:
            self._delete_refused.add()
            log.debug("delete_refused", reason="the row still lives in Postgres")
