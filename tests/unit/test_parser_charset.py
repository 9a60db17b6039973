from __future__ import annotations

import time

import pytest

from crawler.parser.charset import decode

GERMAN = "<title>Grüße</title><p>Straße, Äpfel, Öl</p>"
RUSSIAN = "<p>" + "Съешь же ещё этих мягких французских булок, да выпей чаю. " * 5 + "</p>"


@pytest.mark.parametrize(
    ("body", "content_type", "text", "charset"),
    [
        (GERMAN.encode(), "text/html; charset=utf-8", GERMAN, "utf-8"),
        (GERMAN.encode(), "text/html", GERMAN, "utf-8"),
        (GERMAN.encode("cp1252"), "text/html; charset=ISO-8859-1", GERMAN, "windows-1252"),
        (GERMAN.encode("cp1252"), 'text/html;CHARSET="latin1"', GERMAN, "windows-1252"),
        (b"\xef\xbb\xbf" + GERMAN.encode(), "text/html; charset=latin1", GERMAN, "utf-8"),
        (b"\xff\xfe" + GERMAN.encode("utf-16le"), "text/html", GERMAN, "utf-16le"),
        (b"\xfe\xff" + GERMAN.encode("utf-16be"), "text/html", GERMAN, "utf-16be"),
        (GERMAN.encode("utf-16le"), "text/html; charset=utf-16le", GERMAN, "utf-16le"),
        (RUSSIAN.encode("koi8-r"), "text/html; charset=koi8-r", RUSSIAN, "koi8-r"),
        ("日本".encode("shift_jis"), "text/html; charset=x-sjis", "日本", "shift_jis"),
        ("日本".encode("euc_jp"), "text/html; charset=euc-jp", "日本", "euc-jp"),
        ("中文".encode("gb18030"), "text/html; charset=gb2312", "中文", "gbk"),
    ],
)
def test_mark_then_header(body: bytes, content_type: str, text: str, charset: str) -> None:
    assert decode(body, content_type) == (text, charset)


@pytest.mark.parametrize(
    "meta",
    [
        '<meta charset="koi8-r">',
        "<META CHARSET=koi8-r />",
        '<meta http-equiv="Content-Type" content="text/html; charset=koi8-r">',
        '<?xml version="1.0" encoding="koi8-r"?>',
    ],
)
def test_the_page_itself_names_its_charset(meta: str) -> None:
    html = meta + RUSSIAN
    assert decode(html.encode("koi8-r"), "text/html") == (html, "koi8-r")


def test_the_header_wins_over_the_page() -> None:
    html = '<meta charset="koi8-r">' + GERMAN
    assert decode(html.encode(), "text/html; charset=utf-8") == (html, "utf-8")


def test_a_page_that_says_utf_16_in_ascii_is_utf_8() -> None:
    html = '<meta charset="utf-16">' + GERMAN
    assert decode(html.encode(), "text/html") == (html, "utf-8")


@pytest.mark.parametrize("label", ["punycode", "utf-7", "idna", "unicode_escape", "rot13", "x", ""])
def test_a_label_that_browsers_do_not_know_is_passed_over(label: str) -> None:
    assert decode(GERMAN.encode(), f"text/html; charset={label}") == (GERMAN, "utf-8")
    body = f"<meta charset={label}>".encode() + GERMAN.encode()
    assert decode(body, "text/html")[1] == "utf-8"


def test_guesses_what_nobody_names() -> None:
    text, charset = decode(RUSSIAN.encode("windows-1251"), "text/html")
    assert (text, charset) == (RUSSIAN, "windows-1251")


def test_bytes_that_do_not_fit_are_replaced() -> None:
    assert decode(b"<p>caf\xe9", "text/html; charset=utf-8") == ("<p>caf�", "utf-8")


def test_guessing_a_large_page_takes_no_longer_than_its_beginning() -> None:
    before = time.process_time()
    decode(RUSSIAN.encode("windows-1251") * 2_000, "text/html")
    assert time.process_time() - before < 2.0
