"""Waits until work may be there, without claiming any and without polling.

Two blocking commands, each on a connection of its own: BLMOVE sees what other programs push to
the inbox, BLPOP sees the token that the scripts leave when they leave work. They may outlive the
wait that began them; what they then get is handed on to whoever waits elsewhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import redis.asyncio

from shared.errors import ConnectionLostError
from shared.queue.redis.keys import QueueKeys
from shared.redis.client import address_of
from shared.redis.faults import translated

BLOCK_SECONDS = 5
RECONNECT_SECONDS = 0.1


class WakeUp:
    """The waiting side of one consumer."""

    def __init__(self, client: redis.asyncio.Redis, keys: QueueKeys) -> None:
        self._client = client
        self._address = address_of(client)
        self._keys = keys
        self._waiting = 0
        self._inbox = True
        self._woken = asyncio.Event()
        self._watchers: dict[Callable[[], Awaitable[Any]], asyncio.Task[None]] = {}
        self._handing_on: set[asyncio.Task[None]] = set()

    async def wait(self, timeout: float, *, inbox: bool = True) -> None:
        """Return when work may be there, or after `timeout` seconds; may be cancelled.

        Without `inbox`, what other programs push wakes nobody: a paused queue takes none of it.

        Raises DependencyError when the server forbids the blocking commands.
        """
        self._waiting += 1
        self._inbox = inbox
        self._watch()
        try:
            await self._until_woken(timeout)
        except asyncio.CancelledError:
            if self._woken.is_set():
                self._hand_on_later()
            raise
        finally:
            self._waiting -= 1
            self._woken.clear()
        self._raise_failures()

    async def close(self) -> None:
        """End the blocking commands."""
        tasks = [*self._watchers.values(), *self._handing_on]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._watchers.clear()

    async def _until_woken(self, timeout: float) -> None:
        try:
            async with asyncio.timeout(timeout):
                await self._woken.wait()
        except TimeoutError:
            return

    def _watch(self) -> None:
        sources = (self._take_token, self._take_message) if self._inbox else (self._take_token,)
        for take in sources:
            task = self._watchers.get(take)
            if task is None or task.done():
                self._watchers[take] = asyncio.create_task(self._watch_with(take))

    async def _watch_with(self, take: Callable[[], Awaitable[Any]]) -> None:
        while self._waiting:
            try:
                with translated(self._address):
                    found = await take()
            except ConnectionLostError:
                await asyncio.sleep(RECONNECT_SECONDS)
                continue
            if found is not None:
                await self._found()
                return

    async def _take_token(self) -> Any:
        return await self._client.blpop([self._keys.wake], timeout=BLOCK_SECONDS)

    async def _take_message(self) -> Any:
        return await self._client.blmove(
            self._keys.inbox, self._keys.intake, BLOCK_SECONDS, src="RIGHT", dest="LEFT"
        )

    async def _found(self) -> None:
        if self._waiting:
            self._woken.set()
        else:
            await self._hand_on()

    async def _hand_on(self) -> None:
        try:
            with translated(self._address):
                await self._client.lpush(self._keys.wake, b"")
        except ConnectionLostError:
            return  # whoever waits elsewhere looks for itself within a second

    def _hand_on_later(self) -> None:
        task = asyncio.create_task(self._hand_on())
        self._handing_on.add(task)
        task.add_done_callback(self._handing_on.discard)

    def _raise_failures(self) -> None:
        for take, task in list(self._watchers.items()):
            if task.done() and not task.cancelled() and task.exception() is not None:
                del self._watchers[take]
                task.result()
