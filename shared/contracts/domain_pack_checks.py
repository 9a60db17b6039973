"""What must be true of a domain pack beyond the types of its fields."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from selectolax.lexbor import LexborHTMLParser, SelectolaxError

from shared.contracts.domain_pack import DomainPack, FieldRule, Scope
from shared.contracts.domain_pack_regex import Regex
from shared.contracts.domain_pack_yaml import Path

Problem = tuple[Path, str]
"""Where, and what in words."""

RULE_KINDS = ("css", "json_ld", "open_graph", "meta", "regex")
_HOST = re.compile(
    r"(?:\*\.)?(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
    r"|\[[0-9a-f:.]+\]"
)
_NO_HOST = (
    "is not a host name in lower case (example.org, *.example.org) without scheme, port or path"
)
_JSON_PATH = re.compile(r"[^.\s]+(?:\.[^.\s]+)*")


def problems(pack: DomainPack) -> Iterator[Problem]:
    """Yield everything that is wrong with a pack, in the order of its keys."""
    yield from _addresses(pack)
    yield from _scope(pack.scope)
    recrawl = pack.recrawl
    if not (
        recrawl.min_interval_seconds
        <= recrawl.first_interval_seconds
        <= recrawl.max_interval_seconds
    ):
        yield (
            ("recrawl",),
            "min_interval_seconds <= first_interval_seconds <= max_interval_seconds must hold",
        )
    for name, field in pack.fields.items():
        for position, rule in enumerate(field.rules):
            yield from _rule(rule, ("fields", name, "rules", position))
    if pack.main_text:
        yield from _selector(pack.main_text, ("main_text",))


def _addresses(pack: DomainPack) -> Iterator[Problem]:
    for kind, urls in (("seeds", pack.seeds), ("sitemaps", pack.sitemaps)):
        for position, url in enumerate(urls):
            host = _host_of(url)
            if not host:
                yield (kind, position), f"{url!r} is not an http or https URL"
            elif kind == "seeds" and not pack.scope.host_rule(host):
                yield (kind, position), f"{url!r} is out of scope: {host} is not in scope.hosts"


def _scope(scope: Scope) -> Iterator[Problem]:
    for position, host in enumerate(scope.hosts):
        if not _HOST.fullmatch(host):
            yield ("scope", "hosts", position), f"{host!r} {_NO_HOST}"
    for kind, patterns in (("allow", scope.allow), ("deny", scope.deny)):
        for position, pattern in enumerate(patterns):
            yield from _regex(pattern, ("scope", kind, position))


def _rule(rule: FieldRule, path: Path) -> Iterator[Problem]:
    kinds = [kind for kind in RULE_KINDS if getattr(rule, kind)]
    if len(kinds) != 1:
        said = " and ".join(kinds) or "none"
        yield path, f"exactly one of {', '.join(RULE_KINDS)} must be set, not {said}"
    if rule.attribute and not rule.css:
        yield (*path, "attribute"), "attribute goes with css only"
    if rule.css:
        yield from _selector(rule.css, (*path, "css"))
    if rule.regex:
        yield from _regex(rule.regex, (*path, "regex"))
    if rule.json_ld and not _JSON_PATH.fullmatch(rule.json_ld):
        yield (*path, "json_ld"), f"{rule.json_ld!r} is not a path like Recipe.author.name"


def _regex(pattern: str, path: Path) -> Iterator[Problem]:
    try:
        Regex(pattern)
    except ValueError as error:
        yield path, f"{pattern!r} is not a regular expression (RE2): {error}"


def _selector(selector: str, path: Path) -> Iterator[Problem]:
    try:
        LexborHTMLParser("").css(selector)
    except SelectolaxError:
        yield path, f"{selector!r} is not a CSS selector"


def _host_of(url: str) -> str:
    """Return the host of an http(s) URL as packs write it; empty when it is not one."""
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").removesuffix(".")
        _ = parts.port  # raises when the port is no number
    except ValueError:
        return ""
    if parts.scheme not in ("http", "https"):
        return ""
    return f"[{host}]" if ":" in host else host
