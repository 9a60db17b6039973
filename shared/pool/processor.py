"""The code for one job type."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from shared.jobs import Delivery
from shared.pool.retry_policy import RetryPolicy
from shared.verdicts import Deferred, Verdict

P = TypeVar("P")


class Execution(msgspec.Struct, Generic[P], frozen=True, gc=False):
    """One run of one job: its decoded payload and the delivery it came in."""

    payload: P
    delivery: Delivery


class Processor(Protocol[P]):
    """Handles one job at a time.

    Whatever it raises becomes one verdict (see retry_policy); nothing it raises stops the worker.
    Jobs that never suspend may run one after another in the same task, each in a clean context.
    """

    job_type: str
    payload_type: type[P]
    timeout_seconds: float
    retry: RetryPolicy

    async def process(self, execution: Execution[P]) -> Verdict | Deferred:
        """Do the work; cancelled when the timeout passes."""
        ...


class ThreadProcessor(Protocol[P]):
    """Handles one job at a time in a plain function, which runs in a thread.

    A thread cannot be killed: at its timeout, or on a stop, the job's slot is freed and its verdict
    given, but the function goes on; it is counted as abandoned.
    """

    job_type: str
    payload_type: type[P]
    timeout_seconds: float
    retry: RetryPolicy

    def process(self, execution: Execution[P]) -> Verdict:
        """Do the work; must stand being run in many threads at once."""
        ...


class BatchProcessor(Protocol[P]):
    """Handles many jobs in one call; a slot of the pool holds one batch."""

    job_type: str
    payload_type: type[P]
    timeout_seconds: float
    retry: RetryPolicy
    batch_size: int
    linger_seconds: float
    """How long to wait for a batch to fill; counts against the lease, not against the timeout."""

    async def process_batch(self, batch: Sequence[Execution[P]]) -> Sequence[Verdict | Deferred]:
        """Return one verdict for each execution, in order."""
        ...


AnyProcessor = Processor[Any] | ThreadProcessor[Any] | BatchProcessor[Any]
