"""A small process that forks others: it imports once, has no threads and no event loop.

A worker asks it for helper processes (HTML parsers), the supervisor asks it for workers:

    child = await context.fork_server.spawn(
        "crawler.parser.child:serve",           # called in the new process as serve(channel)
        limits=ChildLimits(memory_bytes=512 << 20, cpu_seconds=20),
    )
    reader, writer = await asyncio.open_connection(sock=child.channel)
    ...
    child.kill()                                # SIGKILL
    status = await child.exited()               # 0, an exit code, or minus the signal's number

`serve(channel: socket.socket) -> None` gets the other end of the channel, a blocking Unix stream
socket, and runs until it reads end-of-file. Returning means exit code 0, raising 1. A helper is
killed when the process that asked for it ends. SIGTERM and SIGINT do nothing to it: a helper
serves until its owner has drained.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import Any

from shared.errors import DependencyError
from shared.supervisor.fork_messages import (
    MAX_BYTES,
    Answer,
    ChildLimits,
    Exited,
    Kill,
    Spawn,
    Spawned,
    decode_answer,
    encode,
    message_pair,
)

__all__ = ["Child", "ChildLimits", "ForkRefusedError", "ForkServer"]

NO_LIMITS = ChildLimits()
LOST = -9
"""Status of a child whose fork server is gone: the kernel killed it then."""


class ForkRefusedError(DependencyError):
    """No process can be forked now, for want of memory, processes or files; later it may be."""


class Child:
    """A process that the fork server forked for us."""

    def __init__(
        self, pid: int, channel: socket.socket, send: Callable[[Kill], None], exited: Future
    ) -> None:
        self.pid = pid
        self.channel = channel
        """Our end, non-blocking; closing it is the polite way to end a helper."""
        self._send = send
        self._exited = exited

    def kill(self) -> None:
        """Send SIGKILL; does nothing when the child has ended."""
        if not self._exited.done():
            self._send(Kill(self.pid))

    async def exited(self) -> int:
        """Wait for the end; return 0, the exit code, or minus the number of the signal."""
        return await asyncio.shield(self._exited)


class ForkServer:
    """This process's connection to the fork server."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._numbers = count()
        self._spawning: dict[int, asyncio.Future[int]] = {}
        self._children: dict[int, Future] = {}
        self._listening = False

    @classmethod
    def start(
        cls,
        targets: Mapping[str, Callable[..., object]] | None = None,
        *,
        preload: Sequence[str] = (),
    ) -> ForkServer:
        """Fork the server off this process, which must have no threads and no event loop yet.

        `targets` can be spawned by name, beside `module:function`. `preload` names modules that
        the server imports once, so that its children need not.
        """
        ours, theirs = message_pair()
        owner = os.getpid()
        if os.fork() == 0:
            from shared.supervisor.fork_loop import run_fork_loop

            ours.close()
            run_fork_loop(theirs, owner, targets or {}, preload)
        theirs.close()
        return cls(ours)

    async def spawn(
        self, target: str, *, limits: ChildLimits = NO_LIMITS, can_fork: bool = False
    ) -> Child:
        """Fork a child that calls `target(channel)`, or `target(channel, fork_server)` when it
        `can_fork`. A target that cannot be imported ends with status 1 and a traceback.

        Raises ForkRefusedError when no process can be forked now, DependencyError when the fork
        server is gone.
        """
        self._listen()
        try:
            ours, theirs = socket.socketpair()
        except OSError as error:
            raise ForkRefusedError(f"cannot fork: {error}") from error
        ours.setblocking(False)
        number = next(self._numbers)
        spawned = self._spawning[number] = asyncio.get_running_loop().create_future()
        request = encode(Spawn(number, target, limits, can_fork))
        with theirs:
            try:
                socket.send_fds(self._connection, [request], [theirs.fileno()])
            except OSError as error:
                ours.close()
                raise DependencyError(f"the fork server is gone: {error}") from error
        try:
            pid = await spawned
        except BaseException:
            ours.close()
            raise
        return Child(pid, ours, self._send, self._children[pid])

    def close(self) -> None:
        """Let go; the server then kills every child that was spawned through this connection."""
        if self._listening:
            asyncio.get_running_loop().remove_reader(self._connection)
        self._connection.close()

    def _send(self, message: Kill) -> None:
        try:
            self._connection.send(encode(message))
        except OSError:
            self._lost()

    def _listen(self) -> None:
        if not self._listening:
            self._listening = True
            self._connection.setblocking(False)
            asyncio.get_running_loop().add_reader(self._connection, self._receive)

    def _receive(self) -> None:
        try:
            data = self._connection.recv(MAX_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self._understand(decode_answer(data))
        else:
            self._lost()

    def _understand(self, answer: Answer) -> None:
        if isinstance(answer, Exited):
            self._children.pop(answer.pid).set_result(answer.status)
            return
        spawned = self._spawning.pop(answer.number)
        if isinstance(answer, Spawned):
            self._children[answer.pid] = asyncio.get_running_loop().create_future()
            if not spawned.cancelled():
                spawned.set_result(answer.pid)
        elif not spawned.cancelled():
            spawned.set_exception(ForkRefusedError(answer.reason))

    def _lost(self) -> None:
        asyncio.get_running_loop().remove_reader(self._connection)
        for spawned in self._spawning.values():
            if not spawned.done():
                spawned.set_exception(DependencyError("the fork server is gone"))
        for exited in self._children.values():
            exited.set_result(LOST)
        self._spawning.clear()
        self._children.clear()


Future = asyncio.Future[Any]
