"""One task of a pool: the job, or the batch, that it works on, and why it was cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from enum import Enum
from typing import Any, TypeAlias

from shared.pool.processor import Execution

Work: TypeAlias = "Execution[Any] | list[Execution[Any]]"
"""What one call of a processor is given: a job, or a batch of them."""
Process = Callable[[Any], Awaitable[Any]]
"""Takes Work; returns a verdict, or for a batch one for each."""


def executions_of(work: Work) -> Sequence[Execution[Any]]:
    """Return the jobs of one call."""
    return work if isinstance(work, list) else (work,)


class Cause(Enum):
    """Why the pool cancelled a run."""

    TIMEOUT = "timeout"
    LOST = "lost"
    SHUTDOWN = "shutdown"


class Run:
    """A slot's present work. Compared and hashed by identity."""

    __slots__ = ("cause", "over", "started", "suspended", "task", "work")

    def __init__(self) -> None:
        self.work: Work = []
        self.started = 0.0
        """When its present work was."""
        self.suspended = False
        """Its task belongs to its present work alone, because that work waits for something."""
        self.cause: Cause | None = None
        self.over = False
        """Its slot is free and its verdicts are given, though the task may still run."""
        self.task: asyncio.Task[None] | None = None

    @property
    def executions(self) -> Sequence[Execution[Any]]:
        """The jobs it works on."""
        return executions_of(self.work)

    def cancel(self, cause: Cause) -> None:
        """Cancel the task."""
        self.cause = cause
        assert self.task is not None
        self.task.cancel()


def mismatch(outcomes: Any, executions: Sequence[Execution[Any]]) -> TypeError | None:
    """Return an error when the outcomes of a batch are not one for each job."""
    # Nobody could tell which outcome belongs to which job.
    if isinstance(outcomes, Sequence) and len(outcomes) == len(executions):
        return None
    size = len(outcomes) if isinstance(outcomes, Sequence) else type(outcomes).__name__
    return TypeError(f"process_batch returned {size} for {len(executions)} executions")
