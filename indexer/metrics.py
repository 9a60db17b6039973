"""What worker-indexer counts."""

from __future__ import annotations

from shared.observability.metrics import MetricsTable

RESULTS = ("indexed", "deleted", "superseded", "refused", "try_again", "delete_refused")
_BULK_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class IndexerMetrics:
    """The cells of this process."""

    def __init__(self, table: MetricsTable) -> None:
        documents = table.counter(
            "indexer_documents_total",
            "Documents by what became of them; delete_refused: the row still lives.",
            {"result": RESULTS},
        )
        self.documents = {result: documents.cell(result) for result in RESULTS}
        self._bulk_bytes = table.counter(
            "indexer_bulk_bytes_total", "Bytes sent in bulk requests."
        ).cell()
        self._bulk_seconds = table.histogram(
            "indexer_bulk_seconds", "Time until a bulk was answered.", buckets=_BULK_BUCKETS
        ).cell()

    def bulk(self, size: int, seconds: float) -> None:
        """Count one bulk request."""
        self._bulk_bytes.add(size)
        self._bulk_seconds.observe(seconds)
