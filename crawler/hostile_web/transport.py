"""Servers that misuse TCP and HTTP."""

from __future__ import annotations

import asyncio

from crawler.hostile_web.behaviour import Behaviours, Exchange

transport = Behaviours()
DRIP_SECONDS = 0.1


@transport.add("fetch_timeout")
async def never_answers(exchange: Exchange) -> None:
    """Accepts the request and says nothing."""
    await asyncio.sleep(3600)


@transport.add("fetch_timeout")
async def drips_headers(exchange: Exchange) -> None:
    """Sends a header line every now and then, for ever."""
    await exchange.send(b"HTTP/1.1 200 OK\r\n")
    for number in range(36_000):
        await exchange.send(b"X-%d: drip\r\n" % number)
        await asyncio.sleep(DRIP_SECONDS)


@transport.add("too_slow")
async def drips_body(exchange: Exchange) -> None:
    """Sends a byte of the body every now and then, for ever."""
    await exchange.head("Content-Type: text/html", "Content-Length: 100000")
    for _ in range(36_000):
        await exchange.send(b"x")
        await asyncio.sleep(DRIP_SECONDS)


@transport.add("fetch_timeout", "bad_http")
async def endless_informational_answers(exchange: Exchange) -> None:
    """Promises an answer for ever: 103 Early Hints without end."""
    while True:
        await exchange.send(b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n")
        await asyncio.sleep(0.001)


@transport.add("fetch_timeout", "bad_http", "too_slow")
async def endless_chunk_extension(exchange: Exchange) -> None:
    """Begins a chunk whose extension never ends."""
    await exchange.head("Content-Type: text/html", "Transfer-Encoding: chunked")
    await exchange.send(b"5;x=")
    while True:
        await exchange.send(b"y" * 65_536)


@transport.add("body_too_large")
async def endless_body(exchange: Exchange) -> None:
    """Sends chunks without end."""
    await exchange.head("Content-Type: text/html", "Transfer-Encoding: chunked")
    while True:
        await exchange.send(b"10000\r\n" + b"x" * 65_536 + b"\r\n")


@transport.add("bad_http")
async def header_flood(exchange: Exchange) -> None:
    """Sends ten thousand headers."""
    await exchange.head(*(f"X-{number}: flood" for number in range(10_000)))


@transport.add("bad_http")
async def huge_header(exchange: Exchange) -> None:
    """Sends a header of a megabyte."""
    await exchange.head("X-Huge: " + "x" * 1_000_000)


@transport.add("ok")
async def cookie_flood(exchange: Exchange) -> None:
    """Sets a hundred cookies, one of them for every site of a top-level domain."""
    cookies = [f"Set-Cookie: c{number}={'v' * 100}; Path=/" for number in range(100)]
    await exchange.answer(b"<p>Cookies</p>", *cookies, "Set-Cookie: all=1; Domain=.org")


@transport.add("bad_http")
async def lies_about_length(exchange: Exchange) -> None:
    """Announces more than it sends."""
    await exchange.head("Content-Type: text/html", "Content-Length: 5000")
    await exchange.send(b"<p>This is all")


@transport.add("bad_http")
async def closes_in_a_chunk(exchange: Exchange) -> None:
    """Closes in the middle of a chunk."""
    await exchange.head("Content-Type: text/html", "Transfer-Encoding: chunked")
    await exchange.send(b"ffff\r\n<p>This is all")


@transport.add("connect_error")
async def closes_without_an_answer(exchange: Exchange) -> None:
    """Takes the request and hangs up."""


@transport.add("connect_error")
async def closes_in_the_headers(exchange: Exchange) -> None:
    """Hangs up in the middle of a header."""
    await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Ty")


@transport.add("bad_http")
async def speaks_another_protocol(exchange: Exchange) -> None:
    """Answers as an SSH server does."""
    await exchange.send(b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n\x00\x01\x02\x03\r\n\r\n")


@transport.add("bad_http")
async def two_lengths(exchange: Exchange) -> None:
    """Announces two lengths, to smuggle a second answer past a proxy."""
    await exchange.head("Content-Type: text/html", "Content-Length: 10", "Content-Length: 20")
    await exchange.send(b"<p>ten</p>HTTP/1.1 2")


@transport.add("ok")
async def header_of_wild_bytes(exchange: Exchange) -> None:
    """Sends validators and a tag that are not text."""
    wild = '"\udcff\udcfe"'
    await exchange.answer(b"<p>Wild</p>", f"ETag: {wild}", f"X-Robots-Tag: {wild}")
