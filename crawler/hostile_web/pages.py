"""Pages that are made to stop, to fool or to poison whoever parses them."""

from __future__ import annotations

import json

from crawler.hostile_web.behaviour import Behaviours, Exchange

pages = Behaviours()
_ENDED = ("parser_timeout", "parser_memory", "parser_crash")


@pages.add(*_ENDED)
async def nested_markup(exchange: Exchange) -> None:
    """Half a megabyte of <div> inside <div>: quadratic in most parsers."""
    await exchange.answer(b"<div>" * 100_000)


@pages.add(*_ENDED)
async def many_options(exchange: Exchange) -> None:
    """Forty thousand unclosed <option> elements."""
    await exchange.answer(b"<select>" + b"<option>x" * 60_000)


@pages.add(*_ENDED)
async def many_attributes(exchange: Exchange) -> None:
    """One tag with eighty thousand attributes."""
    await exchange.answer(b"<p " + b" ".join(b"a%d" % n for n in range(80_000)) + b">x</p>")


@pages.add(*_ENDED)
async def formatting_elements(exchange: Exchange) -> None:
    """Misnested formatting: small, and gigabytes once parsed."""
    opened = b"".join(b"<b id=%d>" % number for number in range(4_000))
    await exchange.answer(b"<p>" + opened + b"<p>x" * 8_000)


@pages.add("ok")
async def huge_attribute(exchange: Exchange) -> None:
    """A link of four megabytes, and one that is honest."""
    await exchange.answer(b"<a href='/" + b"x" * 4_000_000 + b"'>x</a><a href=/honest>y</a>")


@pages.add("ok")
async def many_links(exchange: Exchange) -> None:
    """Fifty thousand links."""
    await exchange.answer(b"".join(b"<a href=/%d>%d</a> " % (n, n) for n in range(50_000)))


@pages.add("ok")
async def maze(exchange: Exchange) -> None:
    """A maze: every page links deeper, and sends the crawler around in circles."""
    path = exchange.path.partition("?")[0].rstrip("/")
    links = "".join(f"<a href='{path}/{way}/'>{way}</a> " for way in ("left", "right"))
    await exchange.answer(f"<title>Maze</title><p>{path}</p>{links}".encode())


@pages.add("ok")
async def slow_charset(exchange: Exchange) -> None:
    """Names a charset whose Python codec needs seconds."""
    body = b"<title>Slow</title><p>" + b"a-" * 200_000
    await exchange.answer(body, content_type="text/html; charset=punycode")


@pages.add("ok")
async def smuggling_charset(exchange: Exchange) -> None:
    """Hides markup in UTF-7."""
    await exchange.answer(
        b"<p>+ADw-script+AD4-alert(1)+ADw-/script+AD4-</p>", content_type="text/html;charset=utf-7"
    )


@pages.add("ok")
async def broken_charset(exchange: Exchange) -> None:
    """Says UTF-8 and sends bytes that are not."""
    await exchange.answer(
        b"<p>caf\xe9 \xff\xfe \xf0\x9f</p>", content_type="text/html;charset=utf8"
    )


@pages.add("ok")
async def poisoned_text(exchange: Exchange) -> None:
    """NUL, control characters, terminal escapes and lone surrogates in text and JSON-LD."""
    data = json.dumps({"@type": "Product", "name": "A\ud800\u0000B\u001b[31m"})
    await exchange.answer(
        f"<title>T\x00i\x1b]0;owned\x07</title><meta name=description content='&#0;&#xd800;d'>"
        f"<script type='application/ld+json'>{data}</script><p>a&#xFFFF;\x00b&#x1b;c</p>".encode()
    )


@pages.add("ok")
async def deep_json(exchange: Exchange) -> None:
    """JSON-LD nested a hundred thousand levels deep."""
    body = "[" * 100_000 + "]" * 100_000
    await exchange.answer(
        f"<title>Deep</title><script type='application/ld+json'>{body}</script>".encode()
    )


@pages.add("ok")
async def inward_links(exchange: Exchange) -> None:
    """A base and links that point into the crawler's own network, and to scripts."""
    await exchange.answer(
        b"<base href='http://169.254.169.254/'><link rel=canonical href='file:///etc/passwd'>"
        b"<a href=latest>x</a><a href='javascript:alert(1)'>y</a><a href='data:text/html,x'>z</a>"
    )


@pages.add("not_html")
async def binary(exchange: Exchange) -> None:
    """A program, sent without a type."""
    await exchange.answer(b"\x7fELF\x02\x01\x01\x00<html>" + bytes(5_000), content_type="")


@pages.add("not_html")
async def wrong_type(exchange: Exchange) -> None:
    """A page that says it is a picture."""
    await exchange.answer(b"<p>Picture?</p>", content_type="image/png")


@pages.add("ok")
async def regex_killer(exchange: Exchange) -> None:
    """Text that makes a backtracking regular expression run for years."""
    await exchange.answer(b"<p>" + b"a" * 50_000 + b"!</p>")


@pages.add("ok")
async def one_long_word(exchange: Exchange) -> None:
    """A word of a megabyte: an index refuses terms that long."""
    await exchange.answer(b"<title>" + b"w" * 1_000_000 + b"</title><p>" + b"x" * 1_000_000)
