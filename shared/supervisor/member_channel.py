"""What a supervisor and a process of its group say to each other: single bytes, and sockets.

To the process: STOP, or CONNECTION with a socket on which an HTTP request will come, so that a
group needs only one port. From the process: READY.
"""

from __future__ import annotations

import asyncio
import socket

from shared.observability.health import HealthServer

STOP = b"s"
CONNECTION = b"c"
READY = b"r"


class MemberChannel:
    """The process's end."""

    def __init__(self, channel: socket.socket, server: HealthServer, stop: asyncio.Event) -> None:
        channel.setblocking(False)
        self._channel = channel
        self._server = server
        self._stop = stop
        self._answering: set[asyncio.Task[None]] = set()
        asyncio.get_running_loop().add_reader(channel, self._receive)

    async def tell_ready(self, ready: asyncio.Event) -> None:
        """Tell the supervisor once the process is ready."""
        await ready.wait()
        self._channel.send(READY)

    def close(self) -> None:
        """Stop listening to the supervisor."""
        asyncio.get_running_loop().remove_reader(self._channel)

    def _receive(self) -> None:
        message, descriptors, _, _ = socket.recv_fds(self._channel, 1, 1)
        if message == CONNECTION:
            task = asyncio.create_task(self._answer(socket.socket(fileno=descriptors[0])))
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)
            return
        self._stop.set()  # STOP; or end-of-file: the supervisor is gone
        if not message:
            self.close()

    async def _answer(self, connection: socket.socket) -> None:
        reader, writer = await asyncio.open_connection(sock=connection)
        # The supervisor has looked who asks.
        await self._server.answer(reader, writer, trusted=True)


async def ask_member(channel: socket.socket, target: str) -> tuple[int, bytes]:
    """Send a GET request to the process at the other end; return status and body.

    Raises OSError when it is gone.
    """
    ours, theirs = socket.socketpair()
    with theirs:
        socket.send_fds(channel, [CONNECTION], [theirs.fileno()])
    reader, writer = await asyncio.open_connection(sock=ours)
    try:
        writer.write(f"GET {target} HTTP/1.1\r\n\r\n".encode())
        answer = await reader.read(-1)
    finally:
        writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    if not head:
        raise ConnectionResetError("the process ended before it answered")
    return int(head.split(b" ", 2)[1]), body
