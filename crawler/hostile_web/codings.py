"""Servers that misuse Content-Encoding."""

from __future__ import annotations

import gzip
import sys
import zlib
from functools import cache

import brotli  # type: ignore[import-untyped]

from crawler.hostile_web.behaviour import Behaviours, Exchange

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

codings = Behaviours()
BOMB_BYTES = 64 << 20
_STOPPED = ("bad_content_encoding", "body_too_large")


@cache
def bomb(coding: str) -> bytes:
    """Return 64 MiB of zeros, compressed."""
    zeros = bytes(BOMB_BYTES)
    if coding == "br":
        return bytes(brotli.compress(zeros, quality=5))
    if coding == "zstd":
        return zstd.compress(zeros)
    return gzip.compress(zeros) if coding == "gzip" else zlib.compress(zeros)


async def _encoded(exchange: Exchange, body: bytes, coding: str) -> None:
    await exchange.answer(body, f"Content-Encoding: {coding}")


@codings.add(*_STOPPED)
async def gzip_bomb(exchange: Exchange) -> None:
    """64 kB that become 64 MiB."""
    await _encoded(exchange, bomb("gzip"), "gzip")


@codings.add(*_STOPPED)
async def deflate_bomb(exchange: Exchange) -> None:
    """The same with deflate."""
    await _encoded(exchange, bomb("deflate"), "deflate")


@codings.add(*_STOPPED)
async def brotli_bomb(exchange: Exchange) -> None:
    """A few hundred bytes that become 64 MiB."""
    await _encoded(exchange, bomb("br"), "br")


@codings.add(*_STOPPED)
async def zstd_bomb(exchange: Exchange) -> None:
    """A few kilobytes that become 64 MiB."""
    await _encoded(exchange, bomb("zstd"), "zstd")


@codings.add(*_STOPPED)
async def bomb_in_a_bomb(exchange: Exchange) -> None:
    """A gzip bomb, compressed once more with brotli."""
    await _encoded(exchange, brotli.compress(bomb("gzip")), "gzip, br")


@codings.add("bad_content_encoding")
async def many_codings(exchange: Exchange) -> None:
    """Eight codings on top of each other."""
    body = b"<p>onion</p>"
    for _ in range(8):
        body = gzip.compress(body)
    await _encoded(exchange, body, ", ".join(["gzip"] * 8))


@codings.add("bad_content_encoding")
async def many_members(exchange: Exchange) -> None:
    """A gzip body of ten thousand empty members."""
    await _encoded(exchange, gzip.compress(b"") * 10_000, "gzip")


@codings.add("bad_content_encoding")
async def unknown_coding(exchange: Exchange) -> None:
    """A coding that nobody asked for."""
    await _encoded(exchange, b"<p>coded</p>", "x-secret")


@codings.add("bad_content_encoding")
async def not_compressed(exchange: Exchange) -> None:
    """Says gzip and sends plain text."""
    await _encoded(exchange, b"<p>This is not gzip</p>", "gzip")


@codings.add("bad_content_encoding")
async def cut_gzip(exchange: Exchange) -> None:
    """A gzip body that ends in the middle, under an honest length."""
    await _encoded(exchange, gzip.compress(b"<p>" + bytes(range(256)) * 40)[:-20], "gzip")


@codings.add("bad_content_encoding")
async def zstd_giant_window(exchange: Exchange) -> None:
    """A zstd frame whose window needs 2 GiB."""
    text = b"<p>window</p>"
    last_raw_block = (len(text) << 3 | 1).to_bytes(3, "little")
    # Magic, a frame header that promises nothing, window exponent 21 (2^31 bytes).
    frame = b"\x28\xb5\x2f\xfd" + b"\x00" + bytes([21 << 3]) + last_raw_block + text
    await _encoded(exchange, frame, "zstd")


@codings.add("ok")
async def garbage_after_gzip(exchange: Exchange) -> None:
    """An honest gzip body with rubbish behind it, as browsers tolerate."""
    await _encoded(exchange, gzip.compress(b"<p>Honest</p>") + b"rubbish", "gzip")
