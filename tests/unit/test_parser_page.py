from __future__ import annotations

from typing import Any

import msgspec
import pytest

from crawler.parser.clean_text import clean
from crawler.parser.page_parser import HASH_BYTES, HtmlPageParser
from crawler.parser.port import ParsedPage, ParseError, ParseRequest
from shared.contracts.domain_pack import DomainPack, Field, FieldRule, Scope

PACK = DomainPack(
    name="site",
    scope=Scope(hosts=["example.org"]),
    fields={
        "price": Field(rules=[FieldRule(css=".price")], type="number", required=True),
        "maker": Field(rules=[FieldRule(regex="Made by ([A-Z]+)")], required=True),
    },
)
HTML = """<!doctype html><html lang="en"><head><title>A thing</title>
<meta name=description content="What it is"><link rel=canonical href="/thing"></head>
<body><nav><a href=/>Home</a></nav><main><h1>A thing</h1><p>Made by ACME in a shed.</p>
<p class=price>9.50</p><a href=/other rel=nofollow>Other</a></main></body></html>"""


def parse(
    html: str | bytes = HTML, content_type: str = "text/html", pack: DomainPack = PACK, **more: Any
) -> ParsedPage:
    body = html if isinstance(html, bytes) else html.encode()
    request = ParseRequest(
        url="https://example.org/a", body=body, content_type=content_type, pack=pack.name, **more
    )
    return HtmlPageParser(pack, "test-bot").parse(request)


def test_a_page_becomes_a_document() -> None:
    page = parse()
    assert msgspec.json.decode(page.body) == {
        "url": "https://example.org/a",
        "title": "A thing",
        "description": "What it is",
        "language": "en",
        "text": "A thing\nMade by ACME in a shed.\n9.50\nOther",
        "fields": {"price": 9.5, "maker": "ACME"},
    }
    assert page.canonical == "https://example.org/thing"
    assert [(link.url, link.nofollow) for link in page.links] == [
        ("https://example.org/", False),
        ("https://example.org/other", True),
    ]
    assert (page.noindex, page.nofollow, page.charset) == (False, False, "utf-8")


def test_required_fields_that_are_missing_are_named() -> None:
    assert parse().missing_fields == []
    assert parse("<p>Nothing of it").missing_fields == ["price", "maker"]


def test_the_same_page_has_the_same_hash_and_a_changed_one_another() -> None:
    page = parse()
    assert len(page.content_hash) == HASH_BYTES
    assert parse().content_hash == page.content_hash
    assert parse(HTML.replace("9.50", "9.60")).content_hash != page.content_hash


def test_what_readers_do_not_see_changes_no_hash() -> None:
    other = HTML.replace("<main>", "<script>token = 'x81h'</script><!-- 12:31 --><main>")
    assert parse(other).content_hash == parse().content_hash


def test_what_the_header_says_counts() -> None:
    assert parse(x_robots_tag="noindex").noindex
    assert parse(x_robots_tag="test-bot: nofollow").nofollow
    assert not parse(x_robots_tag="other: noindex").noindex


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/pdf", b"%PDF"),
        ("image/png", b"<p>"),
        ("text/plain; charset=utf-8", b"<p>"),
        ("", b"\x7fELF\x00<p>"),
        ("", b"no markup"),
        ("", b""),
    ],
)
def test_anything_but_html_is_refused(content_type: str, body: bytes) -> None:
    with pytest.raises(ParseError) as refused:
        parse(body, content_type)
    assert refused.value.reason == "not_html"


@pytest.mark.parametrize("content_type", ["text/html", "Application/XHTML+XML; x", ""])
def test_html_is_taken(content_type: str) -> None:
    assert parse(content_type=content_type).title == "A thing"


@pytest.mark.parametrize("body", ["", "<", "<html>", "</p>", "<!--", "<frameset></frameset>", "\0"])
def test_pages_of_nothing_parse(body: str) -> None:
    assert parse(body).text in ("", "<")


def test_long_titles_and_descriptions_are_cut() -> None:
    long = "word " * 100_000
    page = parse(f"<title>{long}</title><meta name=description content='{long}'>")
    assert (len(page.title), len(page.description)) == (2_000, 10_000)


@pytest.mark.parametrize(
    ("value", "cleaned"),
    [
        ("a\x00b\x1b[0m\x7f\x85c\nd\te", "ab[0mc\nd\te"),
        ("\ud800\udfff\ufffe\uffff\ufdd0", ""),
        ("😀 é \ufffd", "😀 é \ufffd"),
        ({"k\x00": ["v\x00", 1, None, {"x": "\x01"}]}, {"k": ["v", 1, None, {"x": ""}]}),
        (5, 5),
    ],
)
def test_the_gate(value: Any, cleaned: Any) -> None:
    assert clean(value) == cleaned
