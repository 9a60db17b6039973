from __future__ import annotations

import can_ada
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.url import normalizer
from crawler.url.normalizer import KEY_BYTES, InvalidUrlError, absolute, normalize


@pytest.mark.parametrize(
    ("given_url", "fetched"),
    [
        ("HTTP://Example.ORG", "http://example.org/"),
        ("http://example.org:80/a", "http://example.org/a"),
        ("https://example.org:443/a", "https://example.org/a"),
        ("https://example.org:80/a", "https://example.org:80/a"),
        ("http://example.org./a", "http://example.org/a"),
        ("http://example.org/a#part", "http://example.org/a"),
        ("http://example.org/a/./b/../c", "http://example.org/a/c"),
        ("http://example.org/A/b", "http://example.org/A/b"),
        ("http://example.org/a b?c d", "http://example.org/a%20b?c%20d"),
        ("  http://example.org/\n", "http://example.org/"),
        ("http:\\\\example.org\\a", "http://example.org/a"),
        ("http://例え.jp/パス", "http://xn--r8jz45g.jp/%E3%83%91%E3%82%B9"),
        ("http://①②⑦.⓪.⓪.①/", "http://127.0.0.1/"),
        ("http://0x7f.1/", "http://127.0.0.1/"),
        ("http://[::FFFF:127.0.0.1]/", "http://[::ffff:7f00:1]/"),
        ("http://example.org/?utm_source=x&a=1", "http://example.org/?utm_source=x&a=1"),
    ],
)
def test_what_is_fetched(given_url: str, fetched: str) -> None:
    assert normalize(given_url).url == fetched


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "invalid_url"),
        ("/a/b", "invalid_url"),
        ("http://", "invalid_url"),
        ("http://a b/", "invalid_url"),
        ("http://[::1/", "invalid_url"),
        ("http://example.org:99999/", "invalid_url"),
        ("http://\ud800/", "invalid_url"),
        ("ftp://example.org/", "scheme_not_http"),
        ("javascript:alert(1)", "scheme_not_http"),
        ("file:///etc/passwd", "scheme_not_http"),
        ("http://user@example.org/", "url_has_userinfo"),
        ("http://:secret@example.org/", "url_has_userinfo"),
        ("http://a..b/", "invalid_host"),
        ("http://example.org../", "invalid_host"),
        (f"http://{'a' * 64}.org/", "invalid_host"),
        (f"http://{'a.' * 130}org/", "invalid_host"),
    ],
)
def test_what_is_refused(url: str, reason: str) -> None:
    with pytest.raises(InvalidUrlError) as refused:
        normalize(url)
    assert refused.value.reason == reason


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("http://example.org/a", "HTTP://EXAMPLE.org:80/a#x"),
        ("http://example.org/a?b=1", "http://example.org/a?utm_source=n&b=1&fbclid=2"),
        ("http://example.org/a", "http://example.org/a?gclid=1"),
        ("http://example.org/a", "http://example.org/a?"),
        ("http://example.org/~a", "http://example.org/%7Ea"),
        ("http://example.org/%2f", "http://example.org/%2F"),
    ],
)
def test_the_same_page(one: str, other: str) -> None:
    assert normalize(one).key == normalize(other).key


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("http://example.org/a", "http://example.org/A"),
        ("http://example.org/a", "http://example.org/a/"),
        ("http://example.org/a", "https://example.org/a"),
        ("http://example.org/a", "http://example.org:8080/a"),
        ("http://example.org/a/b", "http://example.org/a%2Fb"),
        ("http://example.org/?a=1&b=2", "http://example.org/?b=2&a=1"),
        ("http://example.org/?autm_source=1", "http://example.org/"),
    ],
)
def test_different_pages(one: str, other: str) -> None:
    assert normalize(one).key != normalize(other).key


def test_a_new_version_of_the_rules_makes_new_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    before = normalize("http://example.org/").key
    monkeypatch.setattr(normalizer, "RULES_VERSION", 2)
    assert len(before) == KEY_BYTES
    assert normalize("http://example.org/").key != before


@pytest.mark.parametrize(
    ("url", "host", "origin"),
    [
        ("http://example.org./a", "example.org", "http://example.org"),
        ("https://example.org:8443/a", "example.org", "https://example.org:8443"),
        ("http://[::1]:8080/", "[::1]", "http://[::1]:8080"),
    ],
)
def test_host_and_origin(url: str, host: str, origin: str) -> None:
    normal = normalize(url)
    assert (normal.host, normal.origin) == (host, origin)


@given(st.text(max_size=60))
def test_normalising_ends_in_a_form_that_stays(text: str) -> None:
    try:
        once = normalize(f"http://example.org/{text}")
    except InvalidUrlError:
        return
    assert normalize(once.url) == once


@pytest.mark.parametrize(
    ("href", "url"),
    [
        ("e", "https://a.org/b/c/e"),
        ("../e", "https://a.org/b/e"),
        ("../../../../e", "https://a.org/e"),
        ("/e", "https://a.org/e"),
        (" /e\n", "https://a.org/e"),
        ("/e\tf", "https://a.org/ef"),
        ("?r", "https://a.org/b/c/d?r"),
        ("", "https://a.org/b/c/d?q"),
        ("#part", "https://a.org/b/c/d?q"),
        ("e#part", "https://a.org/b/c/e"),
        ("//z.org/e", "https://z.org/e"),
        ("\\\\z.org\\e", "https://z.org/e"),
        ("https:e", "https://a.org/b/c/e"),
        ("http:e", "http://e/"),
        ("HTTP://Z.org", "http://z.org/"),
        ("g//h", "https://a.org/b/c/g//h"),
        ("a:b/c", None),
        ("javascript:alert(1)", None),
        ("java\nscript:alert(1)", None),
        ("mailto:x@a.org", None),
        ("data:text/html,x", None),
        ("http://[bad", None),
        ("//", None),
    ],
)
def test_resolves_links_as_a_browser_does(href: str, url: str | None) -> None:
    assert absolute("https://a.org/b/c/d?q#f", href) == url


def test_a_base_that_is_no_url_resolves_nothing() -> None:
    assert absolute("nonsense", "a") is None


@given(st.text(max_size=40))
def test_resolved_links_are_urls(href: str) -> None:
    resolved = absolute("https://a.org/b/c/d?q", href)
    assert resolved is None or can_ada.parse(resolved).href == resolved
