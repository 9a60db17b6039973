"""Waits until work may be there, without polling.

Two blocking commands, each on a connection of its own: BLMOVE sees what other programs push to
the inbox, BLPOP sees the token that the scripts leave when they leave work. Behind each goes a
look for one job (see exchanger.py), so that an idle worker needs no further call to begin it.
They may outlive the wait that began them; what they then get is handed on to whoever waits
elsewhere, and a job that nobody asks for goes back.
"""

from __future__ import annotations

import asyncio

import redis.asyncio

from shared.errors import ConnectionLostError
from shared.queue.redis.exchanger import Exchanger
from shared.queue.redis.keys import QueueKeys
from shared.redis.client import address_of
from shared.redis.faults import translated
from shared.redis.line import Line

BLOCK_SECONDS = 5
UNASKED_SECONDS = 0.5
"""How long a job that came with a wake-up waits to be asked for."""
RECONNECT_SECONDS = 0.1

_Command = tuple[str | int, ...]


class WakeUp:
    """The waiting side of one consumer."""

    def __init__(self, client: redis.asyncio.Redis, keys: QueueKeys, exchanger: Exchanger) -> None:
        self._client = client
        self._address = address_of(client)
        self._exchanger = exchanger
        self._token: _Command = ("BLPOP", keys.wake, BLOCK_SECONDS)
        self._message: _Command = (
            "BLMOVE", keys.inbox, keys.intake, "RIGHT", "LEFT", BLOCK_SECONDS,
        )  # fmt: skip
        self._lines: dict[_Command, Line] = {
            command: Line(client, str(command[1])) for command in (self._token, self._message)
        }
        self._waiting = 0
        self._woken = asyncio.Event()
        self._watchers: dict[_Command, asyncio.Task[None]] = {}
        self._handing_on: set[asyncio.Task[None]] = set()
        self._unasked: asyncio.TimerHandle | None = None

    async def wait(self, timeout: float) -> None:
        """Return when work may be there, or after `timeout` seconds; may be cancelled.

        What other programs push wakes nobody while the queue is paused: it takes none of it.

        Raises DependencyError when the server forbids the blocking commands.
        """
        if self._exchanger.has_found:
            return
        self._waiting += 1
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
        if self._unasked is not None:
            self._unasked.cancel()
        tasks = [*self._watchers.values(), *self._handing_on]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._watchers.clear()
        for line in self._lines.values():
            await line.close()

    async def _until_woken(self, timeout: float) -> None:
        try:
            async with asyncio.timeout(timeout):
                await self._woken.wait()
        except TimeoutError:
            return

    def _watch(self) -> None:
        commands = (
            [self._token] if self._exchanger.queue_is_paused else [self._token, self._message]
        )
        for command in commands:
            task = self._watchers.get(command)
            if task is None or task.done():
                watching = self._watch_with(command)
                self._watchers[command] = asyncio.create_task(watching)

    async def _watch_with(self, command: _Command) -> None:
        while self._waiting:
            try:
                with translated(self._address):
                    found = await self._block(command)
            except ConnectionLostError:
                await asyncio.sleep(RECONNECT_SECONDS)
                continue
            if found:
                await self._found()
                return

    async def _block(self, command: _Command) -> bool:
        look = self._exchanger.look()
        found, *answers = await self._lines[command].ask(command, *(look[1:] if look else ()))
        if isinstance(found, Exception):
            await self._lines[command].close()
            raise found
        has_job = look is not None and self._exchanger.looked(look[0], answers[0])
        return has_job or found is not None

    async def _found(self) -> None:
        if not self._waiting:
            await self._hand_on()
            return
        self._woken.set()
        if self._exchanger.has_found:
            if self._unasked is not None:
                self._unasked.cancel()
            loop = asyncio.get_running_loop()
            self._unasked = loop.call_later(UNASKED_SECONDS, self._give_back)

    async def _hand_on(self) -> None:
        try:
            if self._exchanger.has_found:
                await self._exchanger.decline()
            else:
                with translated(self._address):
                    await self._client.lpush(str(self._token[1]), b"")
        except ConnectionLostError:
            return  # whoever waits elsewhere looks for itself within a second

    def _give_back(self) -> None:
        if self._exchanger.has_found:
            self._hand_on_later()

    def _hand_on_later(self) -> None:
        task = asyncio.create_task(self._hand_on())
        self._handing_on.add(task)
        task.add_done_callback(self._handing_on.discard)

    def _raise_failures(self) -> None:
        for take, task in list(self._watchers.items()):
            if task.done() and not task.cancelled() and task.exception() is not None:
                del self._watchers[take]
                task.result()
