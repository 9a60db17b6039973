"""A TCP proxy that cuts connections where it hurts most: between a script and its answer."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit


class CuttingProxy:
    """Stands before a Redis. While `cuts` is above zero, an answer to a script is not let through:
    the connection is closed instead, and `cuts` falls by one."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname, parts.port
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self.cuts = 0
        self.url = ""

    async def __aenter__(self) -> CuttingProxy:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"redis://127.0.0.1:{port}/0"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        up_reader, up_writer = await asyncio.open_connection(self._host, self._port)
        state = {"script": False}
        up = asyncio.create_task(self._forward(reader, up_writer, state))
        down = asyncio.create_task(self._answer(up_reader, writer, state))
        try:
            await asyncio.wait([up, down], return_when=asyncio.FIRST_COMPLETED)
        finally:
            up.cancel()
            down.cancel()
            writer.close()
            up_writer.close()
            self._connections.discard(task)

    async def _forward(
        self, source: asyncio.StreamReader, to: asyncio.StreamWriter, state: dict[str, bool]
    ) -> None:
        while data := await source.read(65536):
            state["script"] = b"EVAL" in data[:40]
            to.write(data)

    async def _answer(
        self, source: asyncio.StreamReader, to: asyncio.StreamWriter, state: dict[str, bool]
    ) -> None:
        while data := await source.read(65536):
            if self.cuts and state["script"] and not data.startswith(b"-NOSCRIPT"):
                self.cuts -= 1
                return
            to.write(data)
