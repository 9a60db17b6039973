"""How long a conversation waits for the broker's next answer.

A node that has just crashed may serve, and still leave a declaration without an answer; one that is
out of memory or disk space takes no message, and says so by its silence.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar

ANSWER_SECONDS = 30.0

_limit: ContextVar[asyncio.Timeout | None] = ContextVar("limit", default=None)


@asynccontextmanager
async def patience() -> AsyncIterator[None]:
    """Raise TimeoutError when the conversation inside of it hears nothing for ANSWER_SECONDS."""
    limit = asyncio.timeout(ANSWER_SECONDS)
    try:
        async with limit:
            _limit.set(limit)
            yield
    except TimeoutError as error:
        if limit.expired():
            raise TimeoutError(f"no answer for {ANSWER_SECONDS:g} s") from error
        raise


def heard() -> None:
    """Begin the time anew, in the middle of a conversation that may be long: it goes on well."""
    limit = _limit.get()
    if limit is not None:
        limit.reschedule(asyncio.get_running_loop().time() + ANSWER_SECONDS)
