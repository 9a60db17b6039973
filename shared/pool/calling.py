"""One way to call every kind of processor: one by one or in batches, in the loop or in threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from inspect import iscoroutinefunction
from typing import Any, cast

from shared.pool.judge import Judge
from shared.pool.middleware import Middleware, surround
from shared.pool.processor import AnyProcessor, BatchProcessor
from shared.pool.run import Process, executions_of
from shared.pool.threads import Threads


class Calling:
    """How a processor is called, made once at start."""

    def __init__(
        self,
        processor: AnyProcessor,
        middleware: Sequence[Middleware],
        threads: Threads,
        judge: Judge,
    ) -> None:
        self.batch_size, self.linger_seconds = 0, 0.0
        """A size of 0: jobs come one by one, outside of any list."""
        function: Callable[[Any], Any] = getattr(processor, "process", None)  # type: ignore[assignment]
        if hasattr(processor, "process_batch"):
            batcher = cast("BatchProcessor[Any]", processor)
            self.batch_size, self.linger_seconds = batcher.batch_size, batcher.linger_seconds
            function = batcher.process_batch
        if not _suspends(function):
            function = _in_thread(function, threads, judge)
        self.process: Process = surround(function, middleware)


def _suspends(function: Callable[[Any], Any]) -> bool:
    called = getattr(function, "__call__", None)  # noqa: B004 - an object may have an async __call__
    return iscoroutinefunction(function) or iscoroutinefunction(called)


def _in_thread(function: Callable[[Any], Any], threads: Threads, judge: Judge) -> Process:
    async def process(work: Any) -> Any:
        def left() -> None:
            for execution in executions_of(work):
                judge.abandoned(execution.delivery, in_thread=True)

        return await threads.run(function, work, left)

    return process
