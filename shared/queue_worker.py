"""A worker on one queue, in one call: for a `worker-<purpose>` of your own.

    sys.exit(run_queue_worker("mail", "mail:jobs", [SendLetter()]))

It is configured by the environment (shared/settings.py), serves metrics and health, forks
`PROCESSES` processes, and stops in order. What needs more (several queues, services of its own)
calls `run_worker` with parts that it builds itself, as below.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from shared.config import load
from shared.errors import ConfigError
from shared.observability.logs import configure, get_logger
from shared.observability.metrics import MetricsTable
from shared.pool.metrics import PoolMetrics
from shared.pool.middleware import Middleware
from shared.pool.processor import AnyProcessor
from shared.pool.queue_depth import QueueDepthProbe, QueueMetrics
from shared.pool.settings import PoolSettings
from shared.pool.worker_pool import WorkerPool
from shared.queue.factory import adapter_of, create_queue, create_schedule_store
from shared.queue.message import decode_message
from shared.queue.port import InboxDecoder, QueueSettings
from shared.settings import WorkerSettings
from shared.supervisor.worker import ProcessContext, Service, WorkerParts, run_worker

if TYPE_CHECKING:
    from shared.queue.schedules import Schedule

log = get_logger(__name__)


def run_queue_worker(
    kind: str,
    queue: str | QueueSettings,
    processors: Sequence[AnyProcessor],
    *,
    schedules: Sequence[Schedule] = (),
    middleware: Sequence[Middleware] = (),
    decoder: InboxDecoder = decode_message,
    environ: Mapping[str, str] = os.environ,
) -> int:
    """Work on a queue until told to stop; return the exit code for the process.

    `kind` names the worker in logs; two kinds may not consume one queue. `queue` is a name, or
    settings with limits and shards; LEASE_SECONDS applies to a name. The broker is that of
    QUEUE_URL, or else Redis. `schedules` are fired by one process of the fleet; a broker that
    keeps none is refused with exit code 2. `decoder` reads messages that are no jobs of ours.
    Processors are made before the fork: let them connect when they are first used.
    """
    try:
        settings = load(WorkerSettings, flags={}, environ=environ).settings
        # A single process imports its adapter itself; those of a group are forked with it.
        preload = [adapter_of(settings.broker())] if settings.processes > 1 else ()
    except ConfigError as error:
        configure("info", "auto", worker=kind)
        log.error("worker_failed", error=str(error))
        return error.exit_code
    wanted = queue
    if isinstance(wanted, str):
        wanted = QueueSettings(name=wanted, lease_seconds=settings.lease_seconds)
    job_types = [processor.job_type for processor in processors]
    table = MetricsTable()
    metrics = PoolMetrics(table, job_types)
    queue_metrics = QueueMetrics(table, [wanted.name])

    async def build(_: ProcessContext) -> WorkerParts:
        source = create_queue(
            wanted, settings.broker(), allow_eviction=settings.allow_eviction, decoder=decoder
        )
        async with AsyncExitStack() as opened:
            opened.push_async_callback(source.close)
            await source.open(kind, job_types)
            services: list[Service] = [QueueDepthProbe(wanted.name, source.depth, queue_metrics)]
            if schedules:
                from shared.schedules.scheduler import Scheduler

                store = create_schedule_store(wanted, settings.broker())
                opened.push_async_callback(store.close)
                services.append(Scheduler(store, schedules))
            return WorkerParts(
                pools=[
                    WorkerPool(
                        source,
                        processors,
                        settings=_pool_settings(settings, wanted),
                        metrics=metrics,
                        middleware=middleware,
                    )
                ],
                services=services,
                probes={"queue": source.depth},
                close=opened.pop_all().aclose,
            )

    return run_worker(kind, settings, table, build, preload=preload)


def _pool_settings(settings: WorkerSettings, queue: QueueSettings) -> PoolSettings:
    return PoolSettings(
        workers=settings.workers,
        grace_seconds=settings.grace_seconds,
        unknown_type_patience_seconds=queue.unknown_type_patience_seconds,
    )
