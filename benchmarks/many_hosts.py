"""A web server on many loopback addresses that counts requests to one of them at one time."""

from __future__ import annotations

import asyncio
import json
import random
import signal

HOSTS = 40
PAGES_A_HOST = 50
LINKS_A_PAGE = 12
PORT_LINE = "port "
_ROBOTS = b"User-agent: *\nAllow: /\n"


class Server:
    """Speaks as much HTTP as a crawler needs."""

    def __init__(self) -> None:
        self.requests = 0
        self.overlaps = 0
        self._busy: set[str] = set()
        self._pages = [_page(number) for number in range(PAGES_A_HOST)]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        host = writer.get_extra_info("sockname")[0]
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                self.requests += 1
                self.overlaps += host in self._busy
                self._busy.add(host)
                await asyncio.sleep(0.001)
                writer.write(self._answer(head.split(b" ", 2)[1]))
                self._busy.discard(host)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    def _answer(self, path: bytes) -> bytes:
        if path == b"/robots.txt":
            return _http(b"text/plain", _ROBOTS)
        number = path[1:]
        if number.isdigit() and int(number) < PAGES_A_HOST:
            return self._pages[int(number)]
        return b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"


def _page(number: int) -> bytes:
    chance = random.Random(number)
    words = " ".join(f"{chance.randrange(16**5):x}" for _ in range(1_200))
    links = "".join(
        f'<li><a href="/{(number + step) % PAGES_A_HOST}">page</a>'
        for step in range(1, LINKS_A_PAGE + 1)
    )
    html = f"<html><head><title>{number}</title></head><body><p>{words}</p>{links}</body></html>"
    return _http(b"text/html; charset=utf-8", html.encode())


def _http(content_type: bytes, body: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n"
    return head % (content_type, len(body)) + body


async def main() -> None:
    """Serve until SIGTERM; print the port first and the counts last."""
    server, port = Server(), 0
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    for number in range(1, HOSTS + 1):
        started = await asyncio.start_server(server.serve, f"127.0.1.{number}", port)
        port = started.sockets[0].getsockname()[1]
    print(f"{PORT_LINE}{port}", flush=True)
    await stop.wait()
    print(json.dumps({"requests": server.requests, "overlaps": server.overlaps}), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
