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
    host_rule = scope.host_rule(url.host)
    if not host_rule:
        return ScopeDecision(False, "host_not_in_scope", url.host)
    return _broken_limit(scope, url, depth) or _judge(scope, url.url[len(url.origin) :], host_rule)


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


def _judge(scope: Scope, path_and_query: str, host_rule: str) -> ScopeDecision:
    for pattern in scope.deny:
        if _regex(pattern).found_in(path_and_query):
            return ScopeDecision(False, "denied_by_rule", pattern)
    for pattern in scope.allow:
        if _regex(pattern).found_in(path_and_query):
            return ScopeDecision(True, "in_scope", pattern)
    if scope.allow:
        return ScopeDecision(False, "not_allowed_by_rule", f"allow: {', '.join(scope.allow)}")
    return ScopeDecision(True, "in_scope", host_rule)


_regex = lru_cache(maxsize=4096)(Regex)
