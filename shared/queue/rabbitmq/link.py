"""Keeps one session open: connects when first asked and again after a loss."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from shared.queue.rabbitmq.connection import address_of, checked_url, translated
from shared.queue.rabbitmq.patience import heard, patience
from shared.queue.rabbitmq.session import Session
from shared.queue.rabbitmq.topology import Names

T = TypeVar("T")


class Link:
    """What the queue and its administration talk through."""

    def __init__(
        self,
        url: str,
        names: Names,
        lease_seconds: float,
        *,
        on_open: Callable[[Session], Awaitable[None]] | None = None,
        on_lost: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`on_open` readies each new session; `on_lost` hears the label of each that ends."""
        self._url = checked_url(url)
        self._names = names
        self._lease_seconds = lease_seconds
        self._on_open = on_open
        self._on_lost = on_lost
        self._turn = asyncio.Lock()
        self._session: Session | None = None

    async def run(self, ask: Callable[[Session], Coroutine[Any, Any, T]]) -> T:
        """Carry out one conversation to its end, also when the caller is cancelled.

        Raises ConnectionLostError when the connection ends or the broker stops answering,
        DependencyError when it refuses.
        """
        work = asyncio.ensure_future(self._translated(ask))
        work.add_done_callback(_retrieve)
        return await asyncio.shield(work)

    async def close(self) -> None:
        """Close the connection; another `run` would open one again."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    @property
    def session(self) -> Session | None:
        """The session that is open now."""
        return None if self._session is None or self._session.lost else self._session

    async def _translated(self, ask: Callable[[Session], Coroutine[Any, Any, T]]) -> T:
        try:
            with translated(address_of(self._url)):
                async with patience():
                    return await ask(await self._connected())
        except Exception:
            await self.close()  # what was half settled comes back, instead of being held for ever
            raise

    async def _connected(self) -> Session:
        async with self._turn:
            if self._session is None or self._session.lost:
                await self.close()
                self._session = await self._opened()
                heard()
            return self._session

    async def _opened(self) -> Session:
        session = await Session.open(self._url, self._names, self._lease_seconds, self._on_lost)
        try:
            if self._on_open is not None:
                await self._on_open(session)
        except BaseException:
            await session.close()
            raise
        return session


def _retrieve(work: asyncio.Future[Any]) -> None:
    """Keep a failure that nobody waits for any more from being reported as forgotten."""
    if not work.cancelled():
        work.exception()
