"""Which part of a sharded queue a job belongs to, and what the parts are called."""

from __future__ import annotations

from zlib import crc32

from msgspec.structs import replace

from shared.errors import ConfigError
from shared.jobs import Job
from shared.queue.port import QueueSettings

MOST_SHARDS = 256


def settings_of_shards(settings: QueueSettings) -> list[QueueSettings]:
    """Return the settings of each part; the first keeps the name, and with it the plain inbox.

    The names differ in their hash tag, so a cluster spreads the parts over its nodes. Raises
    ConfigError for a number that cannot be, or a name that pins everything to one slot.
    """
    name, count = settings.name, settings.shards
    if not 1 <= count <= MOST_SHARDS:
        raise ConfigError(f"queue {name}: {count} shards are not allowed; 1 to {MOST_SHARDS} are")
    if "{" in name:
        raise ConfigError(
            f"queue {name} has a hash tag, which pins it to one slot: give it 1 shard, or no tag"
        )
    others = (f"{name}.{number}" for number in range(1, count))
    return [replace(settings, name=part, shards=1) for part in (name, *others)]


def shard_of(job: Job, count: int) -> int:
    """Return the part that a job belongs to.

    What must meet, meets: jobs of one lane, of one deduplication key, and repeated publishes.
    """
    return crc32((job.lane or job.dedup_key or job.key).encode()) % count
