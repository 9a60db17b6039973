"""The present session of a queue; a new one when the last has ended."""

from __future__ import annotations

import asyncio

from shared.queue.nats_jetstream.address import Address
from shared.queue.nats_jetstream.names import Names
from shared.queue.nats_jetstream.session import Session
from shared.queue.nats_jetstream.streams import Origin, prepare


class Link:
    """Connects at the first call, and again at the first call after a connection ended.

    So it does, too, when a person deleted streams or consumers: who connects makes what is missing.
    """

    def __init__(self, address: Address, names: Names, lease_seconds: float) -> None:
        self._address = address
        self._names = names
        self._lease_seconds = lease_seconds
        self._session: Session | None = None
        self._turn = asyncio.Lock()
        self.origin = Origin()

    async def session(self) -> Session:
        """Return a session on which the queue's streams are there.

        Raises ConnectionLostError, or DependencyError when the server cannot be used.
        """
        async with self._turn:
            if self._session is not None and self._session.is_outdated:
                await self._session.close()
            if self._session is None or self._session.ended.is_set():
                self._session = await self._begin()
            return self._session

    async def close(self) -> None:
        """End the session."""
        if self._session is not None:
            await self._session.close()

    async def _begin(self) -> Session:
        session = Session(self._address)
        try:
            await session.connect()
            self.origin = await prepare(session, self._names, self._lease_seconds)
        except BaseException:
            await session.close()
            raise
        return session
