"""What publishers, workers and the campaign agree on."""

from __future__ import annotations

from shared.queue.port import QueueSettings

JOB_TYPE = "numbered"
SLOTS = 200
LEASE_SECONDS = 5.0
MAX_CRASHES = 3


def queue_settings(name: str) -> QueueSettings:
    """Return the settings of the queue under test; a short lease, so that little time is lost."""
    return QueueSettings(name=name, lease_seconds=LEASE_SECONDS, max_crashes=MAX_CRASHES)
