from __future__ import annotations

from typing import Any

import pytest

from crawler.url.normalizer import normalize
from crawler.url.scope import ScopeDecision, decide
from shared.contracts.domain_pack import DomainPack, Scope


def pack(**scope: Any) -> DomainPack:
    return DomainPack(name="site", scope=Scope(**{"hosts": ["example.org"], **scope}))


def decision(url: str, depth: int = 0, **scope: Any) -> ScopeDecision:
    return decide(pack(**scope), normalize(url), depth)


def test_a_page_of_a_named_host_is_in_scope() -> None:
    assert decision("https://example.org/a") == ScopeDecision(True, "in_scope", "example.org")


@pytest.mark.parametrize(
    ("host", "hosts", "allowed"),
    [
        ("example.org", ["example.org"], True),
        ("www.example.org", ["example.org"], False),
        ("www.example.org", ["*.example.org"], True),
        ("a.b.example.org", ["*.example.org"], True),
        ("example.org", ["*.example.org"], False),
        ("badexample.org", ["*.example.org"], False),
        ("example.org.evil.net", ["example.org", "*.example.org"], False),
        ("127.0.0.1", ["127.0.0.1"], True),
        ("[::1]", ["[::1]"], True),
    ],
)
def test_hosts(host: str, hosts: list[str], allowed: bool) -> None:
    found = decision(f"http://{host}/", hosts=hosts)
    assert found.allowed is allowed
    assert found.reason == ("in_scope" if allowed else "host_not_in_scope")


@pytest.mark.parametrize(
    ("url", "scope", "reason", "rule"),
    [
        ("/a?x=1", {"deny": ["[?&]x="]}, "denied_by_rule", "[?&]x="),
        ("/docs/a", {"allow": ["^/docs/"], "deny": ["a$"]}, "denied_by_rule", "a$"),
        ("/blog", {"allow": ["^/docs/"]}, "not_allowed_by_rule", "allow: ^/docs/"),
        ("/" + "a" * 100, {"max_url_length": 64}, "url_too_long", "max_url_length: 64"),
        ("/a/b/c/", {"max_path_segments": 2}, "too_many_segments", "max_path_segments: 2"),
        ("/a/b/a/b/a", {}, "repeated_segments", "max_repeated_segments: 2"),
        (
            "/?a&b=1&c",
            {"max_query_parameters": 2},
            "too_many_parameters",
            "max_query_parameters: 2",
        ),
    ],
)
def test_what_is_left_out_and_why(url: str, scope: dict[str, Any], reason: str, rule: str) -> None:
    assert decision(f"http://example.org{url}", **scope) == ScopeDecision(False, reason, rule)


def test_depth() -> None:
    assert decision("http://example.org/", depth=3, max_depth=3).allowed
    assert decision("http://example.org/", depth=4, max_depth=3) == ScopeDecision(
        False, "too_deep", "max_depth: 3"
    )


@pytest.mark.parametrize(
    ("url", "scope"),
    [
        ("/docs/a", {"allow": ["^/blog", "^/docs/"]}),
        ("/a/b/", {"max_path_segments": 2}),
        ("//a//", {"max_path_segments": 1}),
        ("/a/b/a/b", {}),
        ("/?a&b", {"max_query_parameters": 2}),
        ("/", {"max_query_parameters": 0}),
    ],
)
def test_what_just_passes(url: str, scope: dict[str, Any]) -> None:
    assert decision(f"http://example.org{url}", **scope).allowed


def test_the_trailing_dot_of_a_host_does_not_leave_the_scope() -> None:
    assert decision("http://example.org./").allowed


def test_an_expression_that_kills_a_backtracking_engine_takes_linear_time() -> None:
    found = decision("http://example.org/" + "a" * 1_500 + "!", deny=["^/(a+)+$", "^/(a|aa)*$"])
    assert found.allowed
