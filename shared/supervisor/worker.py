"""Runs a worker: in this process, or as a supervised group of processes."""

from __future__ import annotations

from collections.abc import Sequence

from shared.observability.metrics import MetricsTable
from shared.settings import WorkerSettings
from shared.supervisor.parts import Build, ProcessContext, Service, WorkerParts

__all__ = ["Build", "ProcessContext", "Service", "WorkerParts", "run_worker"]


def run_worker(
    kind: str,
    settings: WorkerSettings,
    table: MetricsTable,
    build: Build,
    *,
    preload: Sequence[str] = (),
) -> int:
    """Run a worker until it is told to stop; return the exit code of the process.

    Must be called before any thread or event loop exists. `kind` names the worker in logs
    (`crawler`, `indexer`, `sync`). `table` must be complete: nothing can be declared afterwards.
    `preload` names modules that helper processes need; the fork server imports them once.

    SIGTERM or SIGINT: stop claiming, drain up to `settings.grace_seconds`, return 0. A second
    signal ends the process at once. Errors of the suite are printed and return their exit code.
    """
    raise NotImplementedError
