"""Servers that send a crawler where it must not go."""

from __future__ import annotations

from crawler.hostile_web.behaviour import Behaviours, Exchange

redirects = Behaviours()

PRIVATE_SPELLINGS = (
    "http://127.0.0.1:{port}/secret",
    "http://127.1:{port}/secret",
    "http://2130706433:{port}/secret",
    "http://0x7f000001:{port}/secret",
    "http://0177.0.0.1:{port}/secret",
    "http://0:{port}/secret",
    "http://①②⑦.⓪.⓪.①:{port}/secret",
    "http://[::1]:{port}/secret",
    "http://[::ffff:127.0.0.1]:{port}/secret",
    "http://[::ffff:7f00:1]:{port}/secret",
    "http://[::127.0.0.1]:{port}/secret",
    "http://[64:ff9b::7f00:1]:{port}/secret",
    "http://[64:ff9b:1::7f00:1]:{port}/secret",
    "http://[2002:7f00:1::]:{port}/secret",
    "http://[fec0::1]:{port}/secret",
    "http://[fe80::1]:{port}/secret",
    "http://[fc00::1]:{port}/secret",
    "http://localhost:{port}/secret",
    "http://localhost.:{port}/secret",
    "http://127.0.0.1.:{port}/secret",
    "http://169.254.169.254/latest/meta-data/",
    "http://10.0.0.1/",
    "http://100.64.0.1/",
    "http://192.0.0.8/",
    "http://192.168.1.1/",
    "http://224.0.0.1/",
    "http://0.0.0.0:{port}/secret",
    "http://user@127.0.0.1:{port}/secret",
    "http://example.org:80@127.0.0.1:{port}/secret",
    "//127.0.0.1:{port}/secret",
    "\\\\127.0.0.1:{port}\\secret",
)
"""Ways to write addresses that are nobody's web site; most of them end at this very server."""


async def _send_to(exchange: Exchange, location: str) -> None:
    await exchange.answer(b"", f"Location: {location}", status="302 Found")


@redirects.add("redirect")
async def redirect_loop(exchange: Exchange) -> None:
    """Redirects to itself."""
    await _send_to(exchange, exchange.path)


@redirects.add("redirect")
async def endless_redirects(exchange: Exchange) -> None:
    """Redirects to a new URL every time."""
    number = int(exchange.path.rpartition("=")[2]) if "=" in exchange.path else 0
    await _send_to(exchange, f"/endless_redirects?n={number + 1}")


@redirects.add("redirect")
async def redirect_with_endless_body(exchange: Exchange) -> None:
    """Redirects, and sends a body without end along with it."""
    await exchange.head("Location: /", "Transfer-Encoding: chunked", status="301 Moved")
    while True:
        await exchange.send(b"10000\r\n" + b"x" * 65_536 + b"\r\n")


@redirects.add("redirect")
async def redirect_inward(exchange: Exchange) -> None:
    """Redirects to an address inside: `?n=` chooses the spelling."""
    port = exchange.origin.rpartition(":")[2]
    number = int(exchange.path.rpartition("=")[2]) if "=" in exchange.path else 0
    await _send_to(exchange, PRIVATE_SPELLINGS[number].format(port=port))


@redirects.add("ok")
async def redirect_to_a_script(exchange: Exchange) -> None:
    """Redirects to a javascript: URL."""
    await _send_to(exchange, "javascript:alert(document.domain)")


@redirects.add("ok")
async def redirect_to_a_file(exchange: Exchange) -> None:
    """Redirects to a file of the crawler's machine."""
    await _send_to(exchange, "file:///etc/passwd")


@redirects.add("ok")
async def secret(exchange: Exchange) -> None:
    """What a redirect inward would find; reading it means that the guard failed."""
    await exchange.answer(b"<title>Secret</title><p>You should not see this.</p>")
