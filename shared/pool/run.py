"""One execution: the task of a job, or of a batch, and why it was cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from enum import Enum
from typing import Any, cast

from shared.pool.processor import BatchProcessor, Execution, Processor
from shared.verdicts import Deferred, Verdict

Outcome = Verdict | Deferred
Process = Callable[[Sequence[Execution[Any]]], Awaitable[Sequence[Any]]]


class Cause(Enum):
    """Why the pool cancelled a run."""

    TIMEOUT = "timeout"
    LOST = "lost"
    SHUTDOWN = "shutdown"


class Run:
    """A slot's present work. Compared and hashed by identity."""

    __slots__ = ("cause", "entered", "executions", "over", "started", "task")

    def __init__(self, executions: Sequence[Execution[Any]], started: float) -> None:
        self.executions = executions
        self.started = started
        self.entered = False
        """Whether the processor was called; a run cancelled before that never started."""
        self.cause: Cause | None = None
        self.over = False
        """Its slot is free and its verdicts are given, though the task may still run."""
        self.task: asyncio.Task[None] | None = None

    def cancel(self, cause: Cause) -> None:
        """Cancel the task."""
        self.cause = cause
        assert self.task is not None
        self.task.cancel()


def process_of(processor: Processor[Any] | BatchProcessor[Any]) -> tuple[int, float, Process]:
    """Return batch size, linger seconds and one way to call both kinds of processor."""
    if hasattr(processor, "process_batch"):
        batcher = cast("BatchProcessor[Any]", processor)
        process_batch = batcher.process_batch

        async def many(executions: Sequence[Execution[Any]]) -> Sequence[Any]:
            return _one_each(await process_batch(executions), executions)

        return batcher.batch_size, batcher.linger_seconds, many
    process = processor.process

    async def one(executions: Sequence[Execution[Any]]) -> Sequence[Any]:
        return (await process(executions[0]),)

    return 1, 0.0, one


def _one_each(outcomes: Any, executions: Sequence[Execution[Any]]) -> Sequence[Any]:
    # Otherwise nobody could tell which outcome belongs to which job.
    if isinstance(outcomes, Sequence) and len(outcomes) == len(executions):
        return outcomes
    size = len(outcomes) if isinstance(outcomes, Sequence) else type(outcomes).__name__
    raise TypeError(f"process_batch returned {size} for {len(executions)} executions")
