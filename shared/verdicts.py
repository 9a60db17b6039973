"""What became of a delivery: the verdict of its processor, on its way back to the work source."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from shared.jobs import Delivery


class Done(msgspec.Struct, frozen=True):
    """The job is finished. `result` is for a work source that understands it; queues ignore it."""

    result: Any = None


class Retry(msgspec.Struct, frozen=True):
    """The job failed and may run again after `after` seconds, at most a hundred years; this spends
    an attempt. A negative delay is none.

    `after=None` leaves the delay to the retry policy, which may also decide that it was the last
    attempt and dead-letter the job.
    """

    error: str
    after: float | None = None


class Snooze(msgspec.Struct, frozen=True):
    """Not now: run again after `after` seconds, as for Retry. Spends no attempt."""

    after: float


class HandBack(msgspec.Struct, frozen=True):
    """The work never started; give it to somebody else at once. Spends no attempt."""


class Discard(msgspec.Struct, frozen=True):
    """The job needs no work (out of scope, superseded); it is finished, and the reason counted."""

    reason: str


class DeadLetter(msgspec.Struct, frozen=True):
    """The job will not be tried again until a person replays it."""

    reason: str


Verdict = Done | Retry | Snooze | HandBack | Discard | DeadLetter
"""What a work source accepts."""


class Deferred(msgspec.Struct, frozen=True):
    """Returned by a processor that frees its slot now and settles later, from a commit group.

    The pool keeps the lease renewed until `verdict` is resolved, for at most the job's timeout
    again. A cancelled or failed future counts as if the processor had raised.
    """

    verdict: asyncio.Future[Verdict]


class Settlement(msgspec.Struct, frozen=True, gc=False):
    """A delivery with its verdict."""

    delivery: Delivery
    verdict: Verdict
