"""A small site that tests change while it is crawled; it writes down every request."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import msgspec
from aiohttp import web


class Answer(msgspec.Struct, frozen=True):
    """What a path answers."""

    body: str = ""
    status: int = 200
    headers: Mapping[str, str] = {}
    content_type: str = "text/html"


class Request(msgspec.Struct, frozen=True):
    """What was asked, and when it arrived (monotonic)."""

    host: str
    path: str
    at: float
    headers: Mapping[str, str]


def html(*links: str, text: str = "Some words about this page.", head: str = "") -> Answer:
    """Return a page with links."""
    anchors = "".join(f'<a href="{link}">{link}</a> ' for link in links)
    return Answer(
        f"<html><head><title>A page</title>{head}</head><body><p>{text}</p>{anchors}</body></html>"
    )


class Site:
    """Pages by path; a path that is not there answers 404."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.requests: list[Request] = []
        self.port = 0

    def url(self, path: str = "/", host: str = "127.0.0.1") -> str:
        """Return the URL of a path."""
        return f"http://{host}:{self.port}{path}"

    def asked(self, path: str) -> list[Request]:
        """Return the requests for a path."""
        return [request for request in self.requests if request.path == path]

    async def answer(self, request: web.Request) -> web.Response:
        """Answer one request."""
        path = request.path_qs
        host = request.host.partition(":")[0]
        self.requests.append(Request(host, path, time.monotonic(), dict(request.headers)))
        answer = self.answers.get(path)
        if answer is None:
            return web.Response(status=404, text="not here")
        headers = dict(answer.headers)
        if headers.get("ETag") and request.headers.get("If-None-Match") == headers["ETag"]:
            return web.Response(status=304)
        return web.Response(
            status=answer.status,
            headers=headers,
            body=answer.body.encode(),
            content_type=answer.content_type,
            charset="utf-8",
        )


@asynccontextmanager
async def served() -> AsyncIterator[Site]:
    """Serve a site on all loopback addresses that tests use, at one free port."""
    site = Site()
    app = web.Application()
    app.router.add_get("/{path:.*}", site.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    for number in range(1, 5):
        made = web.TCPSite(runner, f"127.0.0.{number}", site.port)
        await made.start()
        site.port = runner.addresses[0][1]
    yield site
    await runner.cleanup()
