"""A worker on one queue, in one call: for a `worker-<purpose>` of your own.

    sys.exit(run_queue_worker("mail", "mail:jobs", [SendLetter()]))

It is configured by the environment (shared/settings.py), serves metrics and health, forks
`PROCESSES` processes, and stops in order. What needs more (several queues, services of its own)
calls `run_worker` with parts that it builds itself, as below.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping, Sequence

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
from shared.queue.factory import adapter_of, create_queue
from shared.queue.message import decode_message
from shared.queue.port import InboxDecoder, QueueSettings
from shared.settings import WorkerSettings
from shared.supervisor.worker import ProcessContext, WorkerParts, run_worker

log = get_logger(__name__)


def run_queue_worker(
    kind: str,
    queue: str | QueueSettings,
    processors: Sequence[AnyProcessor],
    *,
    middleware: Sequence[Middleware] = (),
    decoder: InboxDecoder = decode_message,
    environ: Mapping[str, str] = os.environ,
) -> int:
    """Work on a queue until told to stop; return the exit code for the process.

    `kind` names the worker in logs; two kinds may not consume one queue. `queue` is a name, or
    settings with limits and shards; LEASE_SECONDS applies to a name. The broker is that of
    QUEUE_URL, or else Redis. `decoder` reads messages that are no jobs of ours. Processors are
    made before the fork: let them connect when they are first used.
    """
    try:
        settings = load(WorkerSettings, flags={}, environ=environ).settings
    except ConfigError as error:
        configure("info", "auto", worker=kind)
        log.error("worker_failed", error=str(error))
        return error.exit_code
    wanted = queue
    if isinstance(wanted, str):
        wanted = QueueSettings(name=wanted, lease_seconds=settings.lease_seconds)
    job_types = [processor.job_type for processor in processors]
    table = MetricsTable()
    build = _builder(
        kind, settings, wanted, processors, middleware, decoder,
        PoolMetrics(table, job_types), QueueMetrics(table, [wanted.name]),
    )  # fmt: skip
    # A single process imports its adapter itself, while the group's are forked with it.
    preload = [adapter_of(settings.broker())] if settings.processes > 1 else ()
    return run_worker(kind, settings, table, build, preload=preload)


def _builder(
    kind: str,
    settings: WorkerSettings,
    wanted: QueueSettings,
    processors: Sequence[AnyProcessor],
    middleware: Sequence[Middleware],
    decoder: InboxDecoder,
    metrics: PoolMetrics,
    queue_metrics: QueueMetrics,
) -> Callable[[ProcessContext], Awaitable[WorkerParts]]:
    async def build(_: ProcessContext) -> WorkerParts:
        source = create_queue(
            wanted, settings.broker(), allow_eviction=settings.allow_eviction, decoder=decoder
        )
        try:
            await source.open(kind, [processor.job_type for processor in processors])
        except BaseException:
            await source.close()
            raise
        pool = WorkerPool(
            source,
            processors,
            settings=PoolSettings(
                workers=settings.workers,
                grace_seconds=settings.grace_seconds,
                unknown_type_patience_seconds=wanted.unknown_type_patience_seconds,
            ),
            metrics=metrics,
            middleware=middleware,
        )
        return WorkerParts(
            pools=[pool],
            services=[QueueDepthProbe(wanted.name, source.depth, queue_metrics)],
            probes={"queue": source.depth},
            close=source.close,
        )

    return build
