"""Whether a URL belongs to a domain pack, and if not, why."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache

import msgspec

from crawler.url.normalizer import NormalizedUrl
from shared.contracts.domain_pack import DomainPack, Scope
from shared.contracts.domain_pack_regex import Regex


class ScopeDecision(msgspec.Struct, frozen=True):
    """The answer, with what decided it."""

    allowed: bool
    reason: str
    """Reason code: `in_scope`, `host_not_in_scope`, `denied_by_rule`, `not_allowed_by_rule`,
    `too_deep`, `url_too_long`, `too_many_segments`, `repeated_segments`, `too_many_parameters`."""
    rule: str = ""
    """The pack's host, expression or limit that decided, as it is written there."""


def decide(pack: DomainPack, url: NormalizedUrl, depth: int) -> ScopeDecision:
    """Decide whether a URL found `depth` links away from a seed is in scope.

    Limits are checked before expressions, so an expression never sees a URL that is too long.
    """
    scope = pack.scope
    rules = _compiled(msgspec.msgpack.encode(scope))
    host_rule = rules.host_rule(url.host)
    if not host_rule:
        return ScopeDecision(False, "host_not_in_scope", url.host)
    return _broken_limit(scope, url, depth) or rules.judge(url.url[len(url.origin) :], host_rule)


def _broken_limit(scope: Scope, url: NormalizedUrl, depth: int) -> ScopeDecision | None:
    if depth > scope.max_depth:
        return ScopeDecision(False, "too_deep", f"max_depth: {scope.max_depth}")
    if len(url.url) > scope.max_url_length:
        return ScopeDecision(False, "url_too_long", f"max_url_length: {scope.max_url_length}")
    path, _, query = url.url[len(url.origin) :].partition("?")
    segments = [segment for segment in path.split("/") if segment]
    if len(segments) > scope.max_path_segments:
        rule = f"max_path_segments: {scope.max_path_segments}"
        return ScopeDecision(False, "too_many_segments", rule)
    if segments and max(Counter(segments).values()) > scope.max_repeated_segments:
        rule = f"max_repeated_segments: {scope.max_repeated_segments}"
        return ScopeDecision(False, "repeated_segments", rule)
    if query and len(query.split("&")) > scope.max_query_parameters:
        rule = f"max_query_parameters: {scope.max_query_parameters}"
        return ScopeDecision(False, "too_many_parameters", rule)
    return None


class _ScopeRules:
    """The compiled form of a scope's hosts and expressions."""

    def __init__(self, scope: Scope) -> None:
        hosts = [host.lower() for host in scope.hosts]
        self._names = frozenset(host for host in hosts if not host.startswith("*."))
        self._suffixes = tuple(host[1:] for host in hosts if host.startswith("*."))
        self._allow = [Regex(pattern) for pattern in scope.allow]
        self._deny = [Regex(pattern) for pattern in scope.deny]

    def host_rule(self, host: str) -> str:
        if host in self._names:
            return host
        return next((f"*{suffix}" for suffix in self._suffixes if host.endswith(suffix)), "")

    def judge(self, path_and_query: str, host_rule: str) -> ScopeDecision:
        for regex in self._deny:
            if regex.found_in(path_and_query):
                return ScopeDecision(False, "denied_by_rule", regex.pattern)
        for regex in self._allow:
            if regex.found_in(path_and_query):
                return ScopeDecision(True, "in_scope", regex.pattern)
        if self._allow:
            return ScopeDecision(False, "not_allowed_by_rule")
        return ScopeDecision(True, "in_scope", host_rule)


@lru_cache(maxsize=1024)
def _compiled(scope: bytes) -> _ScopeRules:
    """Compile once for each scope; a scope is no dictionary key itself, its bytes are."""
    return _ScopeRules(msgspec.msgpack.decode(scope, type=Scope))
