"""Tells that something was stored, without taking it: the stream repeats each message's headers on
a subject of its own, and an idle consumer listens for the next one."""

from __future__ import annotations

import asyncio

from nats.aio.msg import Msg

from shared.queue.nats_jetstream.names import Names
from shared.queue.nats_jetstream.session import Session


class WakeUp:
    """Armed, it is woken by the next message of the stream, and then armed no more."""

    def __init__(self, names: Names) -> None:
        self._subject = f"{names.prefix}wake.>"
        self._session: Session | None = None
        self._woken = asyncio.Event()

    def armed(self, session: Session) -> bool:
        """Whether what this session's server stores from now on will wake."""
        return self._session is session and not self._woken.is_set()

    async def arm(self, session: Session) -> None:
        """Listen. What is sent on the session after this sees all that came before the wake-up."""
        if self.armed(session):
            return
        if self._session is not session:
            session.when_ended(self._woken.set)
        self._woken.clear()
        self._session = session
        await session.subscribe(self._subject, self._wake, only_one=True)

    async def wait(self, timeout: float) -> None:
        """Return when woken, or after `timeout` seconds."""
        try:
            async with asyncio.timeout(timeout):
                await self._woken.wait()
        except TimeoutError:
            return

    async def _wake(self, _: Msg) -> None:
        self._woken.set()
