from __future__ import annotations

import gzip
import time

import pytest

from crawler.fetcher.sitemaps import Sitemap, SitemapLimits, SitemapUrl, parse_sitemap

BASE = "https://example.org/maps/sitemap.xml"
NAMESPACE = 'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"'


def urlset(*entries: str) -> bytes:
    return f'<?xml version="1.0"?><urlset {NAMESPACE}>{"".join(entries)}</urlset>'.encode()


def entry(location: str, last_modified: str = "") -> str:
    date = f"<lastmod>{last_modified}</lastmod>" if last_modified else ""
    return f"<url><loc>{location}</loc>{date}</url>"


def parse(body: bytes, content_type: str = "application/xml", **limits: int) -> Sitemap:
    return parse_sitemap(body, content_type, BASE, SitemapLimits(**limits))


def test_reads_pages_with_their_dates() -> None:
    sitemap = parse(
        urlset(
            entry("https://example.org/a", "2024-02-03T04:05:06Z"),
            entry("https://example.org/b", "2024-02-03"),
            entry("/c?x=1&amp;y=2", "last week"),
        )
    )
    assert sitemap == Sitemap(
        urls=[
            SitemapUrl("https://example.org/a", 1706933106.0),
            SitemapUrl("https://example.org/b", 1706918400.0),
            SitemapUrl("https://example.org/c?x=1&y=2", None),
        ],
        children=[],
    )


def test_a_date_does_not_leak_into_the_next_entry() -> None:
    sitemap = parse(urlset(entry("/a", "2024-02-03"), entry("/b")))
    assert [url.last_modified for url in sitemap.urls] == [1706918400.0, None]


def test_the_location_of_an_image_is_not_a_page() -> None:
    image = (
        '<url><loc>/a</loc><image:image xmlns:image="http://www.google.com/schemas/'
        'sitemap-image/1.1"><image:loc>/picture.png</image:loc></image:image></url>'
    )
    assert [url.url for url in parse(urlset(image)).urls] == ["https://example.org/a"]


def test_reads_the_children_of_an_index_but_not_itself() -> None:
    index = (
        f"<sitemapindex {NAMESPACE}><sitemap><loc>one.xml.gz</loc></sitemap>"
        f"<sitemap><loc>{BASE}</loc></sitemap></sitemapindex>"
    )
    assert parse(index.encode()) == Sitemap(
        urls=[], children=["https://example.org/maps/one.xml.gz"]
    )


def test_reads_gzip_whatever_the_content_type_says() -> None:
    body = gzip.compress(urlset(entry("/a")))
    assert [url.url for url in parse(body, "text/plain").urls] == ["https://example.org/a"]


def test_reads_plain_text() -> None:
    sitemap = parse(b"\xef\xbb\xbfhttps://example.org/a\r\n\nftp://no/\n/b", "text/plain")
    assert [url.url for url in sitemap.urls] == ["https://example.org/a", "https://example.org/b"]


def test_leaves_out_what_is_not_http() -> None:
    body = urlset(entry("javascript:alert(1)"), entry("file:///etc/passwd"), entry(""), entry("/a"))
    assert [url.url for url in parse(body).urls] == ["https://example.org/a"]


def test_what_was_read_before_the_xml_breaks_counts() -> None:
    sitemap = parse(urlset(entry("/a"))[: -len("</urlset>")] + b"<url><loc>")
    assert (len(sitemap.urls), sitemap.fault) == (1, "sitemap_not_xml")


def test_html_sent_as_xml_is_no_sitemap() -> None:
    assert parse(b"<!doctype html><html><body><p>Not found<br></body>").fault == "sitemap_not_xml"
    assert parse(b"Not found").fault == "sitemap_not_xml"


@pytest.mark.parametrize(
    "doctype",
    [
        '<!DOCTYPE x [<!ENTITY a "b"><!ENTITY c "&a;&a;&a;&a;">]>',
        '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE x [<!ENTITY % a SYSTEM "http://127.0.0.1/x"> %a;]>',
    ],
)
def test_entities_are_refused(doctype: str) -> None:
    sitemap = parse(f"{doctype}<urlset><url><loc>/&a;</loc></url></urlset>".encode())
    assert (list(sitemap.urls), sitemap.fault) == ([], "sitemap_has_entities")


def test_a_gzip_bomb_stops_at_the_limit_of_decompressed_bytes() -> None:
    bomb = gzip.compress(b"<urlset>" + b" " * 200_000_000, compresslevel=9)
    before = time.process_time()
    assert parse(bomb, max_bytes=1_000_000).fault == "sitemap_too_large"
    assert time.process_time() - before < 0.5


def test_stops_at_the_limit_of_urls_and_keeps_those_before() -> None:
    sitemap = parse(urlset(*(entry(f"/{number}") for number in range(5))), max_urls=3)
    assert (len(sitemap.urls), sitemap.fault) == (3, "sitemap_too_many_urls")


def test_broken_gzip_is_a_fault() -> None:
    assert parse(gzip.compress(urlset(entry("/a")))[:-10]).fault == "sitemap_bad_gzip"


def test_deep_nesting_is_a_fault() -> None:
    assert parse(b"<a>" * 100_000).fault == "sitemap_not_xml"


def test_a_line_without_end_does_not_pile_up() -> None:
    assert parse(b"x" * 10_000_000, "text/plain") == Sitemap(
        urls=parse(b"x" * 8192, "text/plain").urls, children=[]
    )
