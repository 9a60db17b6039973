"""Settings of worker-sync."""

from __future__ import annotations

from typing import Annotated

from shared.config import setting
from shared.settings import WorkerSettings


class SyncSettings(WorkerSettings, frozen=True, kw_only=True):
    """From the outbox to the queues; units are in the names."""

    metrics_port: Annotated[
        int, setting("Port for /metrics and /health; 0 picks a free one.", ge=0, le=65_535)
    ] = 9103
    queue_key: Annotated[
        str, setting("Queue of index_document jobs, that of worker-indexer.", min_length=1)
    ] = "indexer:jobs"
    job_outbox_queues: Annotated[
        str,
        setting("Queues, separated by commas, whose jobs are published inside transactions."),
    ] = ""
    relay_batch: Annotated[
        int, setting("How many changes are published at once.", ge=1, le=10_000)
    ] = 1000
    poll_seconds: Annotated[
        float, setting("How often to look for changes that no NOTIFY announced.", gt=0, le=60)
    ] = 1.0
    publish_seconds: Annotated[
        float, setting("How long the queue may take for one batch.", gt=0, le=300)
    ] = 10.0
    replay_window_seconds: Annotated[
        float,
        setting("How long published changes are kept, for a queue that lost jobs.", ge=0),
    ] = 3600.0

    def job_queues(self) -> list[str]:
        """Return the names of JOB_OUTBOX_QUEUES."""
        return [name.strip() for name in self.job_outbox_queues.split(",") if name.strip()]
