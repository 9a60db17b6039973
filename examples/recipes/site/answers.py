"""HTTP answers that can say 304: an ETag from the bytes, Last-Modified from the file."""

from __future__ import annotations

import datetime as dt
import hashlib

from aiohttp import web


def answer(
    request: web.Request,
    content: str | bytes,
    *,
    content_type: str = "text/html",
    charset: str | None = "utf-8",
    modified: float | None = None,
    headers: dict[str, str] | None = None,
) -> web.Response:
    """Answer 200 with the content, or 304 when the client has it already.

    `charset=None` leaves the charset out of the header, so that only the page itself names it.
    """
    body = content.encode() if isinstance(content, str) else content
    response = web.Response(body=body, headers=headers)
    response.content_type = content_type
    response.charset = charset
    response.etag = hashlib.blake2b(body, digest_size=12).hexdigest()
    if modified is not None:
        response.last_modified = int(modified)
    if _known(request, response):
        response.set_status(304)
        response.body = None
    return response


def _known(request: web.Request, response: web.Response) -> bool:
    """Whether the client's copy is still good; If-None-Match wins (RFC 9110, 13.2.2)."""
    if request.if_none_match is not None:
        assert response.etag is not None
        return any(tag.value in ("*", response.etag.value) for tag in request.if_none_match)
    since: dt.datetime | None = request.if_modified_since
    changed = response.last_modified
    return since is not None and changed is not None and changed <= since
