"""Chooses the queue adapter by the scheme of its URL; imports only the one that is chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.errors import ConfigError, ConnectionLostError, DependencyError
from shared.queue.message import decode_message
from shared.queue.port import InboxDecoder, JobResults, Queue, QueueSettings, require

if TYPE_CHECKING:
    from shared.queue.administration import QueueAdmin
    from shared.queue.schedules import ScheduleStore
    from shared.queue.server_report import ServerReport

_ADAPTERS = {
    **dict.fromkeys(("redis", "rediss", "unix", "redis+cluster", "rediss+cluster"), "redis"),
    **dict.fromkeys(("amqp", "amqps"), "rabbitmq"),
    **dict.fromkeys(("nats", "tls"), "nats_jetstream"),
    **dict.fromkeys(("kafka", "kafka+ssl"), "kafka"),
    **dict.fromkeys(("postgres", "postgresql"), "postgres"),
    "memory": "memory",
}
"""Scheme -> name of its adapter beside this file."""


def create_queue(
    settings: QueueSettings,
    url: str,
    *,
    allow_eviction: bool = False,
    decoder: InboxDecoder = decode_message,
) -> Queue:
    """Return a queue on the broker that the scheme of the URL names: redis://, redis+cluster://,
    amqp:// and the like; memory:// is inside of this process only.

    `decoder` reads the messages of the inbox. Connects at the first call. Raises ConfigError
    for another scheme or a name that cannot be a queue's.
    """
    if settings.shards != 1:
        from shared.queue.sharded.names import settings_of_shards
        from shared.queue.sharded.queue import ShardedQueue

        parts = settings_of_shards(settings)
        return ShardedQueue(
            [
                create_queue(part, url, allow_eviction=allow_eviction, decoder=decoder)
                for part in parts
            ]
        )
    match _adapter(url):
        case "redis":
            from shared.queue.redis.queue import RedisQueue

            return RedisQueue(settings, url, allow_eviction=allow_eviction, decoder=decoder)
        case "rabbitmq":
            from shared.queue.rabbitmq.queue import RabbitQueue

            return RabbitQueue(settings, url, decoder=decoder)
        case "nats_jetstream":
            from shared.queue.nats_jetstream.queue import NatsQueue

            return NatsQueue(settings, url, decoder=decoder)
        case "kafka":
            from shared.queue.kafka.queue import KafkaQueue

            return KafkaQueue(settings, url, decoder=decoder)
        case "postgres":
            from shared.queue.postgres.queue import PostgresQueue

            return PostgresQueue(settings, url, decoder=decoder)
    from shared.queue.memory.queue import MemoryQueue, shared_broker

    return MemoryQueue(settings, shared_broker(settings.name), decoder=decoder)


def adapter_of(url: str) -> str:
    """Name the module of the adapter that this URL chooses, for a process that imports it before
    it forks. Raises ConfigError for another scheme."""
    return f"shared.queue.{_adapter(url)}.queue"


def create_queue_admin(
    settings: QueueSettings, url: str, *, decoder: InboxDecoder = decode_message
) -> QueueAdmin:
    """Return the administration of a queue. Raises as `create_queue`."""
    if settings.shards != 1:
        from shared.queue.sharded.admin import ShardedQueueAdmin
        from shared.queue.sharded.names import settings_of_shards

        parts = settings_of_shards(settings)
        return ShardedQueueAdmin([create_queue_admin(part, url, decoder=decoder) for part in parts])
    match _adapter(url):
        case "redis":
            from shared.queue.redis.admin import RedisQueueAdmin

            return RedisQueueAdmin(settings, url, decoder=decoder)
        case "rabbitmq":
            from shared.queue.rabbitmq.admin import RabbitQueueAdmin

            return RabbitQueueAdmin(settings, url, decoder=decoder)
        case "nats_jetstream":
            from shared.queue.nats_jetstream.admin import NatsQueueAdmin

            return NatsQueueAdmin(settings, url)
        case "kafka":
            from shared.queue.kafka.admin import KafkaQueueAdmin

            return KafkaQueueAdmin(settings, url, decoder=decoder)
        case "postgres":
            from shared.queue.postgres.admin import PostgresQueueAdmin

            return PostgresQueueAdmin(settings, url, decoder=decoder)
    from shared.queue.memory.admin import MemoryQueueAdmin
    from shared.queue.memory.queue import shared_broker

    return MemoryQueueAdmin(shared_broker(settings.name), decoder=decoder)


def create_job_results(settings: QueueSettings, url: str) -> JobResults:
    """Return progress and results of a queue's jobs.

    Raises as `create_queue`, and ConfigError for a broker that keeps none, with the reason.
    """
    if settings.shards != 1:
        from shared.queue.sharded.names import settings_of_shards
        from shared.queue.sharded.results import ShardedJobResults

        parts = settings_of_shards(settings)
        return ShardedJobResults([create_job_results(part, url) for part in parts])
    adapter = _adapter(url)
    if adapter == "redis":
        from shared.queue.redis.results import RedisJobResults

        return RedisJobResults(settings, url)
    if adapter == "memory":
        from shared.queue.memory.queue import shared_broker
        from shared.queue.memory.results import MemoryJobResults

        return MemoryJobResults(shared_broker(settings.name))
    raise _lacking(settings, url, "results")


def create_schedule_store(settings: QueueSettings, url: str) -> ScheduleStore:
    """Return what keeps the firings of a queue's periodic jobs.

    Raises as `create_queue`, and ConfigError for a broker that keeps none, with the reason.
    """
    if settings.shards != 1:
        from shared.queue.sharded.names import settings_of_shards
        from shared.queue.sharded.schedules import ShardedScheduleStore

        parts = settings_of_shards(settings)
        return ShardedScheduleStore([create_schedule_store(part, url) for part in parts])
    adapter = _adapter(url)
    if adapter == "redis":
        from shared.queue.redis.schedules import RedisScheduleStore

        return RedisScheduleStore(settings, url)
    if adapter == "postgres":
        from shared.queue.postgres.schedules import PostgresScheduleStore

        return PostgresScheduleStore(settings, url)
    if adapter == "memory":
        from shared.queue.memory.queue import shared_broker
        from shared.queue.memory.schedules import MemoryScheduleStore

        return MemoryScheduleStore(shared_broker(settings.name))
    raise _lacking(settings, url, "schedules")


async def check_broker(url: str, *, allow_eviction: bool = False) -> None:
    """Look whether a producer may trust this broker; consumers look when they open a queue.

    Raises DependencyError when it is missing, refuses the login or is too old, or when Redis may
    drop jobs, unless `allow_eviction`.
    """
    match _adapter(url):
        case "redis":
            await _check_redis(url, allow_eviction)
        case "postgres":
            from shared.postgres.database import PostgresDatabase

            database = PostgresDatabase(url, max_connections=1)
            await database.open()
            await database.close()
        case "memory":
            pass
        case _:
            await look_at_broker(url)


async def _check_redis(url: str, allow_eviction: bool) -> None:
    from shared.redis.client import connect
    from shared.redis.server import check_server

    client = connect(url)
    try:
        await check_server(client, allow_eviction=allow_eviction)
    except ConnectionLostError as error:
        raise DependencyError(str(error)) from error
    finally:
        await client.aclose()


async def look_at_broker(url: str) -> ServerReport:
    """Return what a NATS, Kafka or RabbitMQ server tells of itself; changes nothing in it.

    Raises DependencyError when no queue can be opened on it, ConfigError for another scheme.
    """
    match _adapter(url):
        case "nats_jetstream":
            from shared.queue.nats_jetstream.server import look
        case "kafka":
            from shared.queue.kafka.server import look
        case "rabbitmq":
            from shared.queue.rabbitmq.server import look
        case adapter:
            raise ConfigError(f"{adapter} is looked at by a check of its own")
    return await look(url)


def _lacking(settings: QueueSettings, url: str, capability: str) -> ConfigError:
    try:
        require(create_queue(settings, url).capabilities, capability)
    except ConfigError as error:
        return error
    return ConfigError(f"{_scheme(url)}:// has {capability}, but no adapter for them")


def _adapter(url: str) -> str:
    scheme = _scheme(url)
    if adapter := _ADAPTERS.get(scheme):
        return adapter
    known = ", ".join(f"{name}://" for name in _ADAPTERS)
    raise ConfigError(f"no queue adapter for {scheme or 'a URL without scheme'}; known: {known}")


def _scheme(url: str) -> str:
    """Not by urlsplit: what it has against a URL may quote the password."""
    scheme, separator, _ = url.partition("://")
    return scheme.lower() if separator else ""
