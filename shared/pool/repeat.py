"""Repeats a call to a server that went away, with growing pauses."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from shared.errors import ConnectionLostError
from shared.observability.logs import get_logger

log = get_logger(__name__)
T = TypeVar("T")


async def repeat_until_heard(call: Callable[[], Awaitable[T]], give_up: Callable[[], bool]) -> T:
    """Await `call()` again and again while it raises ConnectionLostError.

    Pauses grow to 5 s and are random, so that a fleet does not come back as one. Raises the
    last ConnectionLostError once `give_up()` is true.
    """
    # Imported when first needed: a worker whose servers stay up never pays for it.
    from tenacity import (
        AsyncRetrying,
        RetryCallState,
        retry_if_exception_type,
        wait_random_exponential,
    )

    def note(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        log.warning("connection_lost", error=str(error), tries=state.attempt_number)

    retrying = AsyncRetrying(
        retry=retry_if_exception_type(ConnectionLostError),
        wait=wait_random_exponential(multiplier=0.1, max=5.0),
        stop=lambda _: give_up(),
        before_sleep=note,
        reraise=True,
    )
    return await retrying(call)
