"""From bytes to text: byte order mark, header, meta, then a guess. WHATWG labels only.

Python knows codecs such as punycode that take seconds for a page; no label outside the WHATWG
list ever reaches one.
"""

from __future__ import annotations

import re

import webencodings
from charset_normalizer import from_bytes

PRESCAN_BYTES = 2048
GUESS_BYTES = 8 * 1024
"""Guessing is slow, and its answer does not get better with more."""

_BOMS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xfe\xff", "utf-16be"), (b"\xff\xfe", "utf-16le"))
_HEADER = re.compile(r"charset\s*=\s*[\"']?([^\s\"';,]+)", re.IGNORECASE)
_META = re.compile(
    rb"<meta\s[^>]*?charset\s*=\s*[\"']?\s*([^\s\"'/>;]+)|<\?xml\s[^>]*?encoding\s*=\s*[\"']([^\"']+)",
    re.IGNORECASE,
)


def decode(body: bytes, content_type: str) -> tuple[str, str]:
    """Return the text and the name of its charset; bytes that do not fit become U+FFFD."""
    for mark, name in _BOMS:
        if body.startswith(mark):
            return _decode(body[len(mark) :], webencodings.lookup(name))
    encoding = _named(_HEADER.search(content_type)) or _from_meta(body[:PRESCAN_BYTES])
    return _decode(body, encoding) if encoding else _guess(body)


def _from_meta(head: bytes) -> webencodings.Encoding | None:
    found = _META.search(head)
    if found is None:
        return None
    label = (found[1] or found[2]).decode("ascii", "replace")
    encoding = webencodings.lookup(label)
    if encoding is not None and encoding.name.startswith("utf-16"):
        return webencodings.UTF8  # the tag was readable as ASCII, so it lies
    return encoding


def _named(found: re.Match[str] | None) -> webencodings.Encoding | None:
    return webencodings.lookup(found[1]) if found else None


def _guess(body: bytes) -> tuple[str, str]:
    try:
        return body.decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        best = from_bytes(body[:GUESS_BYTES]).best()
    encoding = webencodings.lookup(best.encoding.replace("_", "-")) if best else None
    return _decode(body, encoding or webencodings.lookup("windows-1252"))


def _decode(body: bytes, encoding: webencodings.Encoding) -> tuple[str, str]:
    text, _ = encoding.codec_info.decode(body, "replace")
    return text, str(encoding.name)
