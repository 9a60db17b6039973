"""What worker-sync counts."""

from __future__ import annotations

from shared.observability.metrics import MetricsTable


class SyncMetrics:
    """The cells of this process."""

    def __init__(self, table: MetricsTable) -> None:
        jobs = table.counter(
            "sync_jobs_total",
            "Jobs published; folded: one for the same document was still waiting.",
            {"result": ["accepted", "folded"]},
        )
        self.accepted, self.folded = jobs.cell("accepted"), jobs.cell("folded")
        self.relayed = table.counter(
            "sync_changes_relayed_total", "Outbox rows published and moved."
        ).cell()
        self.replayed = table.counter(
            "sync_documents_replayed_total", "Documents published again to a queue that lost jobs."
        ).cell()
        self.failures = table.counter(
            "sync_relay_failures_total", "Relays that failed and were tried again."
        ).cell()
        # Every process sees the same outbox, so the figures are not added up.
        self.depth = table.gauge(
            "sync_outbox_depth", "Changes that wait to be published.", fold="max"
        ).cell()
        self.lag = table.gauge(
            "sync_lag_seconds", "Age of the oldest change that waits; 0 for none.", fold="max"
        ).cell()
