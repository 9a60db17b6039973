from __future__ import annotations

import pytest
from selectolax.lexbor import LexborHTMLParser

from crawler.parser.links import MAX_LINKS, base_of, links_of
from crawler.parser.metadata import (
    Canonical,
    Metas,
    canonical_of,
    language_of,
    robots_directives,
    title_of,
)
from crawler.parser.port import Link

PAGE = "https://example.org/a/b"


def tree_of(html: str) -> LexborHTMLParser:
    return LexborHTMLParser(html)


@pytest.mark.parametrize(
    ("html", "title"),
    [
        ("<title> One\n two </title><h1>H</h1>", "One two"),
        ("<title> </title><meta property=og:title content='OG'><h1>H</h1>", "OG"),
        ("<h1>A <b>heading</b></h1><svg><title>Icon</title></svg>", "A heading"),
        ("<p>nothing", ""),
    ],
)
def test_title(html: str, title: str) -> None:
    tree = tree_of(html)
    assert title_of(tree, Metas(tree)) == title


@pytest.mark.parametrize(
    ("html", "language"),
    [
        ("<html lang=de>", "de"),
        ("<html lang='en-US'>", "en-us"),
        ("<html xml:lang=fr>", "fr"),
        ("<html lang='<script>'>", ""),
        ("<html lang>", ""),
        ("<html>", ""),
    ],
)
def test_language(html: str, language: str) -> None:
    assert language_of(tree_of(html)) == language


@pytest.mark.parametrize(
    ("head", "canonical"),
    [
        ("<link rel=canonical href='/c#x'>", Canonical("https://example.org/c")),
        ("<link rel='alternate CANONICAL' href='//b.org'>", Canonical("https://b.org/")),
        (
            "<link rel=canonical href=c><link rel=canonical href=/a/c>",
            Canonical("https://example.org/a/c"),
        ),
        ("<link rel=canonical href=c><link rel=canonical href=d>", Canonical(ignored="c")),
        ("<link rel=canonical href='file:///x'>", Canonical(ignored="file:///x")),
        ("<link rel=canonical href='javascript:x'>", Canonical(ignored="javascript:x")),
        ("<link rel=canonical href=''>", Canonical()),
        ("<link rel=stylesheet href=/c>", Canonical()),
        ("<body><link rel=canonical href=/injected>", Canonical()),
    ],
)
def test_canonical(head: str, canonical: Canonical) -> None:
    assert canonical_of(tree_of(f"<head>{head}"), PAGE) == canonical


@pytest.mark.parametrize(
    ("meta", "header", "noindex", "nofollow"),
    [
        ("", "", False, False),
        ("<meta name=robots content='NOINDEX'>", "", True, False),
        ("<meta name=Robots content='index, nofollow'>", "", False, True),
        ("<meta name=robots content=none>", "", True, True),
        ("<meta name=foo-bot content=noindex>", "", True, False),
        ("<meta name=other-bot content=noindex>", "", False, False),
        ("<meta name=robots content=nofollow><meta name=robots content=noindex>", "", True, True),
        ("", "noindex", True, False),
        ("", "noarchive, NoFollow", False, True),
        ("", "none", True, True),
        ("", "other-bot: noindex, nofollow", False, False),
        ("", "foo-bot: noindex", True, False),
        ("", "nofollow, other-bot: noindex", False, True),
        ("", "other-bot: noindex, foo-bot: nofollow", False, True),
        ("", "unavailable_after: 25 Jun 2030 15:00:00, noindex", True, False),
        ("", "max-snippet: 5, noindex", True, False),
        ("<meta name=description content=noindex>", "", False, False),
    ],
)
def test_robots_directives(meta: str, header: str, noindex: bool, nofollow: bool) -> None:
    said = robots_directives(Metas(tree_of(meta)), header, "Foo-Bot")
    assert ("noindex" in said, "nofollow" in said) == (noindex, nofollow)


def links(html: str) -> list[Link]:
    tree = tree_of(html)
    return links_of(tree, base_of(tree, PAGE))


def test_links_are_absolute_in_order_and_each_once() -> None:
    html = (
        "<a href=c>1</a><map><area href='/d?e#f'></map><a href='/d?e#g'>2</a><a href='#top'>3</a>"
        "<a name=x>4</a><a href>5</a><a href='mailto:x@y'>6</a><a href='http://[bad'>7</a>"
    )
    assert links(html) == [Link("https://example.org/a/c"), Link("https://example.org/d?e")]


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("<base href='/x/'>", "https://example.org/x/c"),
        ("<base href='//b.org/y/z'><base href='/ignored/'>", "https://b.org/y/c"),
        ("<base href='javascript:x'>", "https://example.org/a/c"),
        ("<base target=_top>", "https://example.org/a/c"),
    ],
)
def test_links_are_relative_to_the_base(base: str, url: str) -> None:
    assert links(f"{base}<a href=c>c</a>") == [Link(url)]


def test_a_link_that_is_followed_anywhere_is_followed() -> None:
    html = "<a href=c rel='NoFollow ugc'>1</a><a href=d rel=nofollow>2</a><a href=d>3</a>"
    assert links(html) == [
        Link("https://example.org/a/c", nofollow=True),
        Link("https://example.org/a/d", nofollow=False),
    ]


def test_a_page_of_too_many_links_ends_somewhere() -> None:
    assert len(links("".join(f"<a href=/{n}>x</a>" for n in range(MAX_LINKS + 10)))) == MAX_LINKS
