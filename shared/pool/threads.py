"""Runs processors that are plain functions, each call in a thread, beside the event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from queue import SimpleQueue
from typing import Any

Answer = tuple[Any, BaseException | None]


class Threads:
    """As many daemon threads as calls run at once; at most `keep` of them wait for the next.

    A thread cannot be killed: a call that is cancelled goes on, its thread is replaced, and it
    does not hold up the end of the process.
    """

    def __init__(self, keep: int) -> None:
        self._keep = keep
        self._idle = 0
        self._closed = False
        self._lock = threading.Lock()
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()

    async def run(
        self, function: Callable[[Any], Any], argument: Any, left: Callable[[], None]
    ) -> Any:
        """Return or raise what the function does.

        When cancelled while the function still runs, calls `left` and goes.
        """
        call = _Call(function, argument)
        self._start(call)
        try:
            outcome, error = await call.answer
        except asyncio.CancelledError:
            if call.running:
                left()
            raise
        if error is not None:
            raise error
        return outcome

    def close(self) -> None:
        """Let idle threads end, and busy ones once they are done."""
        with self._lock:
            self._closed = True
            for _ in range(self._idle):
                self._calls.put(None)
            self._idle = 0

    def _start(self, call: _Call) -> None:
        with self._lock:
            spare, self._idle = self._idle, max(0, self._idle - 1)
        self._calls.put(call)
        if not spare:
            threading.Thread(target=self._serve, name="processor", daemon=True).start()

    def _serve(self) -> None:
        while (call := self._calls.get()) is not None:
            call.run(self._rest)
            if not call.thread_stays:
                return

    def _rest(self) -> bool:
        with self._lock:
            stays = not self._closed and self._idle < self._keep
            self._idle += stays
        return stays


class _Call:
    def __init__(self, function: Callable[[Any], Any], argument: Any) -> None:
        self._function, self._argument = function, argument
        self._loop = asyncio.get_running_loop()
        self._context = copy_context()
        self.answer: asyncio.Future[Answer] = self._loop.create_future()
        self.running = True
        self.thread_stays = False

    def run(self, rest: Callable[[], bool]) -> None:
        answer: Answer
        try:
            answer = self._context.run(self._function, self._argument), None
        except BaseException as raised:  # noqa: BLE001 - whatever is raised is the caller's
            answer = None, raised
        self.running = False
        self.thread_stays = rest()  # before the answer: the next call may take this thread
        with suppress(RuntimeError):  # the loop has ended, and nobody waits any more
            self._loop.call_soon_threadsafe(self._tell, answer)

    def _tell(self, answer: Answer) -> None:
        if not self.answer.done():
            self.answer.set_result(answer)
