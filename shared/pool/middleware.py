"""What is done around every job: tracing, timing, locks, a database session."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from shared.pool.run import Process

CallNext = Callable[[Any], Awaitable[Any]]
"""Goes on to the next middleware, and at last to the processor."""


class Middleware(Protocol):
    """Called in the place of a processor, for every job; `call_next` calls the processor.

    It may act before, after and around that call, hand on another execution, return another
    verdict, or return one without calling. What it raises counts as raised by the processor, and
    its time as the job's. For a BatchProcessor it is called once a batch, with the list of
    executions, and returns the list of verdicts.
    """

    async def __call__(self, execution: Any, call_next: CallNext) -> Any:
        """Return the verdict of `await call_next(execution)`, or another."""
        ...


def surround(process: Process, middleware: Sequence[Middleware]) -> Process:
    """Put middleware around a processor, the first outermost; without any, return it as it is."""
    for each in reversed(middleware):
        process = _around(each, process)
    return process


def _around(middleware: Middleware, inner: Process) -> Process:
    async def process(execution: Any) -> Any:
        return await middleware(execution, inner)

    return process
