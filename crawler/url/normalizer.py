"""One form for every URL, and the key that tells whether two URLs are the same page.

Parsing is WHATWG's (by Ada), so that a URL means here what it means to a browser. What is fetched
and what is compared are kept apart: a key drops tracking parameters, the fetched URL keeps them.
"""

from __future__ import annotations

import re
from hashlib import blake2b

import can_ada
import msgspec

RULES_VERSION = 1
"""Part of every key. Raise it when a rule below changes, so that old keys never mix with new."""

KEY_BYTES = 16

_TRACKING = re.compile(
    r"(?:utm_\w+|gclid|gclsrc|dclid|gbraid|wbraid|fbclid|msclkid|yclid|twclid|ttclid|igshid|"
    r"mc_cid|mc_eid|_ga|_gl|_hsenc|_hsmi|mkt_tok|vero_id|oly_enc_id|oly_anon_id)",
    re.IGNORECASE,
)
_SCHEME = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*):")
_ESCAPE = re.compile(r"%[0-9a-fA-F]{2}")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_C0_OR_SPACE = "".join(map(chr, range(0x21)))
_DROP_TAB_NEWLINE = {ord("\t"): None, ord("\n"): None, ord("\r"): None}
_HTTP = ("http:", "https:")


class InvalidUrlError(ValueError):
    """The text is not a URL that can be crawled."""

    def __init__(self, reason: str, url: str) -> None:
        super().__init__(f"{reason}: {url[:200]!r}")
        self.reason = reason
        """Reason code: `invalid_url`, `scheme_not_http`, `url_has_userinfo`, `invalid_host`."""


class NormalizedUrl(msgspec.Struct, frozen=True, gc=False):
    """A URL in its one form."""

    url: str
    """What to fetch: as WHATWG writes it, without fragment, default port and dot after the host."""
    key: bytes
    """16 bytes; equal keys are the same page."""
    host: str
    """Host name in ASCII, or an address; IPv6 in brackets."""
    origin: str
    """scheme://host, with the port when it is not the scheme's own; its robots.txt applies."""


def normalize(url: str) -> NormalizedUrl:
    """Bring a URL into its one form. Raises InvalidUrlError with a reason code."""
    parsed = _parse(url)
    if parsed.protocol not in _HTTP:
        raise InvalidUrlError("scheme_not_http", url)
    if parsed.username or parsed.password:
        raise InvalidUrlError("url_has_userinfo", url)
    host = parsed.hostname.removesuffix(".")
    if not _is_host(host):
        raise InvalidUrlError("invalid_host", url)
    port = f":{parsed.port}" if parsed.port else ""
    origin = f"{parsed.protocol}//{host}{port}"
    path, search = parsed.pathname, parsed.search
    key = _key(origin + _canonical_escapes(path) + _canonical_escapes(_without_tracking(search)))
    return NormalizedUrl(url=f"{origin}{path}{search}", key=key, host=host, origin=origin)


def absolute(base: str, href: str) -> str | None:
    """Resolve a link against its page; None when it is not http(s) or cannot be parsed.

    The fragment is dropped; nothing else is normalised.
    """
    href = href.strip(_C0_OR_SPACE).translate(_DROP_TAB_NEWLINE)
    try:
        parsed = _parse(_join(base, href))
    except InvalidUrlError:
        return None
    if parsed.protocol not in _HTTP:
        return None
    parsed.hash = ""
    return str(parsed.href)


def _parse(url: str) -> can_ada.URL:
    try:
        return can_ada.parse(url)
    except (ValueError, TypeError) as error:  # TypeError: a lone surrogate is no text to Ada
        raise InvalidUrlError("invalid_url", url) from error


def _join(base: str, href: str) -> str:
    """Put a reference behind the part of the base that it keeps; Ada removes dot segments."""
    root = _parse(base)
    scheme = _SCHEME.match(href)
    if scheme is not None:
        rest = href[scheme.end() :]
        if scheme[0].lower() != root.protocol or rest[:1] in ("/", "\\"):
            return href
        href = rest  # WHATWG: "http:path" on an http page is relative
    if href[:1] in ("/", "\\"):
        if href[1:2] in ("/", "\\"):
            return f"{root.protocol}{href}"
        return f"{root.protocol}//{root.host}{href}"
    page = f"{root.protocol}//{root.host}{root.pathname}"
    if not href or href[0] == "#":
        return page + root.search
    if href[0] == "?":
        return page + href
    return page[: page.rindex("/") + 1] + href


def _is_host(host: str) -> bool:
    if host.startswith("["):
        return True
    return 0 < len(host) <= 253 and all(0 < len(label) <= 63 for label in host.split("."))


def _without_tracking(search: str) -> str:
    if not search:
        return ""
    kept = [
        part
        for part in search[1:].split("&")
        if part and not _TRACKING.fullmatch(part.partition("=")[0])
    ]
    return "?" + "&".join(kept) if kept else ""


def _canonical_escapes(text: str) -> str:
    if "%" not in text:
        return text
    return _ESCAPE.sub(_canonical_escape, text)


def _canonical_escape(match: re.Match[str]) -> str:
    escape = match[0].upper()
    char = chr(int(escape[1:], 16))
    return char if char in _UNRESERVED else escape


def _key(form: str) -> bytes:
    return blake2b(f"{RULES_VERSION} {form}".encode(), digest_size=KEY_BYTES).digest()
