"""The owner's side: the lock that makes a process the owner, and the socket it answers on."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import msgspec

from indexer.search.tantivy.engine import TantivyEngine
from indexer.search.tantivy.wire import ARGUMENTS, SOCKET, Answer, Call, receive, send
from shared.errors import WorkerSuiteError

_LOCK = "owner.lock"
_NOTHING = msgspec.Raw(msgspec.msgpack.encode(None))


def take_ownership(directory: Path) -> int | None:
    """Return the descriptor that holds the directory's lock; None when another process has it.

    The kernel frees the lock when its holder dies, however it dies.
    """
    directory.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


@contextlib.contextmanager
def socket_path(directory: Path) -> Iterator[str]:
    """Give a short path of the owner's socket: the kernel takes no more than 107 bytes."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}/{SOCKET}"
    finally:
        os.close(descriptor)


class OwnerServer:
    """Answers the calls of other processes with the engine of this one."""

    def __init__(self, engine: TantivyEngine, directory: Path) -> None:
        self._engine = engine
        self._directory = directory
        self._server: asyncio.Server | None = None
        self._calls: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen. Only the user who runs the owner may call."""
        (self._directory / SOCKET).unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        with socket_path(self._directory) as path:
            listener.bind(path)
        (self._directory / SOCKET).chmod(0o600)
        self._server = await asyncio.start_unix_server(self._serve, sock=listener)

    async def stop(self) -> None:
        """Take no more calls, and finish those that have begun."""
        if self._server is not None:
            self._server.close()
        await asyncio.gather(*self._calls, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._calls.add(task)
        try:
            await send(writer, await self._answer(await receive(reader)))
        except (EOFError, ConnectionError):
            return  # the caller went away; what it asked for is done or was never asked
        finally:
            self._calls.discard(task)
            writer.close()

    async def _answer(self, message: bytes) -> Answer:
        try:
            call = msgspec.msgpack.decode(message, type=Call)
            arguments = msgspec.msgpack.decode(call.arguments, type=ARGUMENTS[call.method])
            result = await getattr(self._engine, call.method)(*arguments)
        except (WorkerSuiteError, ValueError, KeyError) as error:
            return Answer(result=_NOTHING, error=type(error).__name__, words=str(error))
        return Answer(result=msgspec.Raw(msgspec.msgpack.encode(result)))
