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

import msgspec

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
from shared.queue.port import InboxDecoder, Queue, QueueSettings
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
        adapter = adapter_of(settings.broker())
    except ConfigError as error:
        configure("info", "auto", worker=kind)
        log.error("worker_failed", error=str(error))
        return error.exit_code
    if isinstance(queue, str):
        queue = QueueSettings(name=queue, lease_seconds=settings.lease_seconds)
    table = MetricsTable()
    worker = _QueueWorker(
        kind=kind,
        settings=settings,
        queue=queue,
        processors=processors,
        schedules=schedules,
        middleware=middleware,
        decoder=decoder,
        pool_metrics=PoolMetrics(table, _types(processors)),
        queue_metrics=QueueMetrics(table, [queue.name]),
    )
    return run_worker(kind, settings, table, worker.build, preload=[adapter])


class _QueueWorker(msgspec.Struct, frozen=True, kw_only=True):
    """What each process of the worker is built from."""

    kind: str
    settings: WorkerSettings
    queue: QueueSettings
    processors: Sequence[AnyProcessor]
    schedules: Sequence[Schedule]
    middleware: Sequence[Middleware]
    decoder: InboxDecoder
    pool_metrics: PoolMetrics
    queue_metrics: QueueMetrics

    async def build(self, _: ProcessContext) -> WorkerParts:
        """Open the queue; what was opened is closed again when that fails."""
        async with AsyncExitStack() as opened:
            source = await self._open(opened)
            probe = QueueDepthProbe(self.queue.name, source.depth, self.queue_metrics)
            return WorkerParts(
                pools=[self._pool(source)],
                services=[probe, *self._schedulers(opened)],
                probes={"queue": source.depth},
                close=opened.pop_all().aclose,
            )

    async def _open(self, opened: AsyncExitStack) -> Queue:
        source = create_queue(
            self.queue,
            self.settings.broker(),
            allow_eviction=self.settings.allow_eviction,
            decoder=self.decoder,
        )
        opened.push_async_callback(source.close)
        await source.open(self.kind, _types(self.processors))
        return source

    def _schedulers(self, opened: AsyncExitStack) -> Sequence[Service]:
        if not self.schedules:
            return ()
        from shared.schedules.scheduler import Scheduler  # few workers have schedules

        store = create_schedule_store(self.queue, self.settings.broker())
        opened.push_async_callback(store.close)
        return [Scheduler(store, self.schedules)]

    def _pool(self, source: Queue) -> WorkerPool:
        settings = PoolSettings(
            workers=self.settings.workers,
            grace_seconds=self.settings.grace_seconds,
            unknown_type_patience_seconds=self.queue.unknown_type_patience_seconds,
        )
        return WorkerPool(
            source,
            self.processors,
            settings=settings,
            metrics=self.pool_metrics,
            middleware=self.middleware,
        )


def _types(processors: Sequence[AnyProcessor]) -> list[str]:
    return [processor.job_type for processor in processors]
