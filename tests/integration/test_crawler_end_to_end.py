"""A site, crawled by everything but the process around it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from crawler.frontier.port import PageState
from shared.contracts.domain_pack import Politeness, Recrawl, Scope
from shared.supervisor.fork_server import ForkServer
from tests.fixtures.parsers import fork_server
from tests.integration.crawled_site import Answer, Site, html, served
from tests.integration.crawler_world import PACK, Crawl, crawling, pack_with, until

__all__ = ["fork_server"]

Crawls = Callable[..., AbstractAsyncContextManager[Crawl]]


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with served() as made:
        yield made


@pytest.fixture(params=["memory", "postgres_redis"])
async def crawl_on(
    request: pytest.FixtureRequest, fork_server: ForkServer
) -> AsyncIterator[Crawls]:
    urls = {}
    if request.param == "postgres_redis":
        urls = {
            "database_url": request.getfixturevalue("database_url"),
            "redis_url": request.getfixturevalue("redis_url"),
        }

    @asynccontextmanager
    async def opened(**told: Any) -> AsyncIterator[Crawl]:
        async with crawling(fork_server, **urls, **told) as crawl:
            yield crawl

    yield opened
    fork_server.close()


async def test_pages_are_followed_and_stored(site: Site, crawl_on: Crawls) -> None:
    site.answers = {
        "/": html("/a", "/b?x=1", "https://other.test/", "mailto:me@a.test", "#top"),
        "/a": html("/", "/c", text="Words that only this page has."),
        "/b?x=1": html(),
        "/c": html(),
    }
    async with crawl_on() as crawl:
        await crawl.seed(site.url())
        assert await crawl.count() == 4
        document = await crawl.document(site.url("/a"))
        assert document is not None
        assert document["url"] == site.url("/a")
        assert "Words that only this page has." in document["text"]
        record = await crawl.record(site.url("/c"))
        assert (record.state, record.reason) == (PageState.FETCHED, "ok")
        assert (record.depth, record.found_on) == (2, site.url("/a"))
    assert len(site.asked("/")) == 1


async def test_robots_txt_is_asked_first_and_obeyed(site: Site, crawl_on: Crawls) -> None:
    site.answers = {
        "/robots.txt": Answer("User-agent: *\nDisallow: /no\n", content_type="text/plain"),
        "/": html("/no/page", "/yes"),
        "/yes": html(),
        "/no/page": html(),
    }
    async with crawl_on() as crawl:
        await crawl.seed(site.url())
        record = await crawl.record(site.url("/no/page"))
        assert (record.state, record.reason) == (PageState.REFUSED, "robots_denied")
        assert record.detail == "Disallow: /no"
        assert await crawl.count() == 2
    assert site.requests[0].path == "/robots.txt"
    assert site.asked("/no/page") == []


async def test_requests_keep_the_crawl_delay(site: Site, crawl_on: Crawls) -> None:
    site.answers = {
        "/robots.txt": Answer("User-agent: *\nCrawl-delay: 0.2\n", content_type="text/plain"),
        "/": html("/1", "/2", "/3"),
        **{f"/{n}": html() for n in (1, 2, 3)},
    }
    async with crawl_on(workers=8) as crawl:
        await crawl.seed(site.url())
        assert await crawl.count() == 4
    gaps = [later.at - earlier.at for earlier, later in pairwise(site.requests)]
    assert min(gaps) >= 0.19


async def test_a_long_crawl_delay_is_cut_to_what_the_pack_allows(
    site: Site, crawl_on: Crawls
) -> None:
    site.answers = {
        "/robots.txt": Answer("User-agent: *\nCrawl-delay: 600\n", content_type="text/plain"),
        "/": html("/1"),
        "/1": html(),
    }
    async with crawl_on() as crawl:
        await crawl.seed(site.url())
    assert 0.29 <= site.asked("/1")[0].at - site.asked("/")[0].at < 20


async def test_robots_txt_may_be_moved(site: Site, crawl_on: Crawls) -> None:
    site.answers = {
        "/robots.txt": Answer(status=301, headers={"Location": "/rules.txt"}),
        "/rules.txt": Answer("User-agent: *\nDisallow: /no\n", content_type="text/plain"),
        "/": html("/no"),
        "/no": html(),
    }
    async with crawl_on() as crawl:
        await crawl.seed(site.url())
        assert (await crawl.record(site.url("/no"))).reason == "robots_denied"
    assert [request.path for request in site.requests] == ["/robots.txt", "/rules.txt", "/"]


async def test_robots_txt_that_redirects_for_ever_counts_as_missing(
    site: Site, crawl_on: Crawls
) -> None:
    site.answers = {"/": html()}
    for n in range(8):
        hop = Answer(status=302, headers={"Location": f"/robots{n}.txt"})
        site.answers["/robots.txt" if n == 0 else f"/robots{n - 1}.txt"] = hop
    async with crawl_on() as crawl:
        await crawl.seed(site.url())
        assert await crawl.count() == 1
    assert len([r for r in site.requests if r.path.startswith("/robots")]) == 6


async def test_an_unreachable_robots_txt_stops_the_crawl_and_removes_nothing(
    site: Site, crawl_on: Crawls
) -> None:
    site.answers = {"/robots.txt": Answer(status=500), "/": html()}
    async with crawl_on() as crawl:
        await crawl.seed(site.url())
        record = await crawl.record(site.url())
        assert (record.state, record.reason) == (PageState.FAILING, "robots_unreachable")
        assert record.detail == "http_5xx"
        assert record.next_due_at is not None
    assert site.asked("/") == []


@pytest.mark.parametrize(
    "robots",
    [Answer(status=500), Answer("User-agent: *\nDisallow: /maps", content_type="text/plain")],
)
async def test_a_sitemap_is_not_asked_for_without_leave(
    site: Site, crawl_on: Crawls, robots: Answer
) -> None:
    site.answers = {"/robots.txt": robots, "/maps/s.xml": Answer("<urlset></urlset>")}
    async with crawl_on() as crawl:
        await crawl.seed_sitemap(site.url("/maps/s.xml"))
    assert site.asked("/robots.txt") != []
    assert site.asked("/maps/s.xml") == []


async def test_sitemaps_of_robots_txt_are_read(site: Site, crawl_on: Crawls) -> None:
    index = f"<sitemapindex><sitemap><loc>{site.url('/s.xml')}</loc></sitemap></sitemapindex>"
    urls = "".join(f"<url><loc>{site.url(p)}</loc></url>" for p in ("/far", "/private/x"))
    site.answers = {
        "/robots.txt": Answer(f"Sitemap: {site.url('/index.xml')}", content_type="text/plain"),
        "/index.xml": Answer(index, content_type="text/xml"),
        "/s.xml": Answer(f"<urlset>{urls}</urlset>", content_type="text/xml"),
        "/": html(),
        "/far": html(),
    }
    async with crawl_on() as crawl:
        await crawl.seed(site.url())
        assert (await crawl.record(site.url("/far"))).found_on == site.url("/s.xml")
        assert await crawl.count() == 2
    assert site.asked("/private/x") == []


async def test_redirects_are_rows_and_their_targets_pages(site: Site, crawl_on: Crawls) -> None:
    site.answers = {
        "/": html("/old", "/out", "/loop1", "/self"),
        "/old": Answer(status=301, headers={"Location": "/new"}),
        "/new": html(),
        "/out": Answer(status=302, headers={"Location": "https://other.test/"}),
        "/self": Answer(status=302, headers={"Location": "/self?utm_source=x"}),
        "/loop1": Answer(status=302, headers={"Location": "/loop2"}),
        "/loop2": Answer(status=302, headers={"Location": "/loop1"}),
    }
    async with crawl_on() as crawl:
        await crawl.seed(site.url())
        old = await crawl.record(site.url("/old"))
        assert (old.state, old.reason) == (PageState.EXCLUDED, "redirect")
        assert old.redirect_to == site.url("/new")
        assert (await crawl.record(site.url("/new"))).reason == "ok"
        assert (await crawl.record(site.url("/out"))).reason == "redirect_out_of_scope"
        assert (await crawl.record(site.url("/self"))).reason == "redirect_to_itself"
        assert await crawl.count() == 2


async def test_a_chain_of_redirects_ends(site: Site, crawl_on: Crawls) -> None:
    site.answers = {
        f"/{n}": Answer(status=302, headers={"Location": f"/{n + 1}"}) for n in range(9)
    }
    async with crawl_on() as crawl:
        await crawl.seed(site.url("/0"))
        assert (await crawl.record(site.url("/5"))).reason == "too_many_redirects"
    assert site.asked("/6") == []


async def test_noindex_and_canonical_pages_have_no_document(site: Site, crawl_on: Crawls) -> None:
    site.answers = {
        "/": html("/noindex", "/header", "/twin", "/foreign"),
        "/noindex": html("/beyond", head='<meta name="robots" content="noindex">'),
        "/header": Answer(html().body, headers={"X-Robots-Tag": "noindex"}),
        "/twin": html(head='<link rel="canonical" href="/one">'),
        "/foreign": html(head='<link rel="canonical" href="https://other.test/">'),
        "/one": html(),
        "/beyond": html(),
    }
    async with crawl_on() as crawl:
        await crawl.seed(site.url())
        for path in ("/noindex", "/header"):
            assert (await crawl.record(site.url(path))).reason == "noindex"
        twin = await crawl.record(site.url("/twin"))
        assert (twin.reason, twin.canonical) == ("canonical", site.url("/one"))
        foreign = await crawl.record(site.url("/foreign"))
        assert (foreign.reason, foreign.detail) == ("ok", "canonical ignored: https://other.test/")
        assert await crawl.count() == 4
        assert await crawl.document(site.url("/one")) is not None
        assert await crawl.document(site.url("/beyond")) is not None


async def test_a_trap_ends(site: Site, crawl_on: Crawls) -> None:
    site.answers = {"/": html("/x/"), "/x/": html("x/")}
    for depth in range(2, 12):
        site.answers["/" + "x/" * depth] = html("x/")
    async with crawl_on() as crawl:
        await crawl.seed(site.url())
        assert await crawl.count() == 3
        assert crawl.left_out("repeated_segments") == 1
    assert site.asked("/x/x/x/") == []


async def test_unchanged_pages_cause_no_write(site: Site, crawl_on: Crawls) -> None:
    site.answers = {
        "/": html("/etag", "/plain"),
        "/etag": Answer(html(text="The same.").body, headers={"ETag": '"1"'}),
        "/plain": html(text="Also the same."),
    }
    async with crawl_on() as crawl:
        await crawl.seed(site.url())
        site.answers["/plain"] = html(text="Not the same any more.")
        written = []
        put = crawl.store.put

        async def watched(tx: Any, documents: Any) -> int:
            written.extend(documents)
            return await put(tx, documents)

        crawl.store.put = watched  # type: ignore[method-assign]
        await crawl.recrawl()
        assert (await crawl.record(site.url("/"))).reason == "unchanged"
        assert (await crawl.record(site.url("/etag"))).reason == "not_modified"
        assert (await crawl.record(site.url("/plain"))).reason == "ok"
        assert [b"Not the same any more." in each.body for each in written] == [True]
        document = await crawl.document(site.url("/plain"))
        assert document is not None
        assert "Not the same any more." in document["text"]
    assert site.asked("/etag")[1].headers["If-None-Match"] == '"1"'


async def test_what_is_gone_is_removed(site: Site, crawl_on: Crawls) -> None:
    paths = ("/404", "/410", "/noindex", "/twin", "/moved", "/403", "/500")
    site.answers = {"/": html(*paths), **{path: html(text=path) for path in paths}}
    pack = pack_with(recrawl=Recrawl(gone_strikes=2, strike_interval_seconds=0.5))
    async with crawl_on(pack=pack) as crawl:
        await crawl.seed(site.url())
        assert await crawl.count() == 8
        del site.answers["/404"]
        site.answers["/410"] = Answer(status=410)
        site.answers["/noindex"] = html(head='<meta name="robots" content="noindex">')
        site.answers["/twin"] = html(head='<link rel="canonical" href="/">')
        site.answers["/moved"] = Answer(status=301, headers={"Location": "/"})
        site.answers["/403"] = Answer(status=403)
        site.answers["/500"] = Answer(status=500)
        await crawl.recrawl()
        for path in ("/410", "/noindex", "/twin", "/moved"):
            assert await crawl.document(site.url(path)) is None, path
        for path in ("/403", "/500"):
            assert await crawl.document(site.url(path)) is not None, path

        async def gone() -> bool:
            record = await crawl.record(site.url("/404"))
            return (record.state, record.reason) == (PageState.GONE, "http_404")

        await until(gone)
        assert len(site.asked("/404")) == 1 + 2, "it was there once, and then missed twice"
        assert await crawl.count() == 3
        site.answers["/404"] = html(text="back")
        await crawl.recrawl()
        assert await crawl.document(site.url("/404")) is not None


async def test_strikes_are_apart(site: Site, crawl_on: Crawls) -> None:
    site.answers = {"/": html("/404"), "/404": html()}
    pack = pack_with(recrawl=Recrawl(gone_strikes=2, strike_interval_seconds=3600.0))
    async with crawl_on(pack=pack) as crawl:
        await crawl.seed(site.url())
        del site.answers["/404"]
        for _ in range(3):
            await crawl.recrawl()
        assert (await crawl.record(site.url("/404"))).state is PageState.FAILING
        assert await crawl.document(site.url("/404")) is not None


async def test_mass_deletion_is_braked(site: Site, crawl_on: Crawls) -> None:
    paths = [f"/{n}" for n in range(12)]
    site.answers = {"/": html(*paths), **{path: html(text=path) for path in paths}}
    async with crawl_on(removal_brake_share=0.1, removal_brake_minimum=3) as crawl:
        await crawl.seed(site.url())
        for path in paths:
            site.answers[path] = Answer(status=410)
        await crawl.recrawl()
        assert await crawl.count() == 10
        status = await crawl.frontier.status()
        assert (status.reasons["removal_held"], status.reasons["http_410"]) == (9, 3)


async def test_a_host_that_asks_for_rest_gets_it(site: Site, crawl_on: Crawls) -> None:
    site.answers = {
        "/": html("/429", "/z"),
        "/429": Answer(status=429, headers={"Retry-After": "1"}),
        "/z": html(),
    }
    async with crawl_on() as crawl:
        await crawl.seed(site.url())
        assert (await crawl.record(site.url("/429"))).reason == "http_429"
    after = [request.at for request in site.requests]
    rested = next(request.at for request in site.asked("/429"))
    assert min((at - rested for at in after if at > rested), default=1.0) >= 0.99


async def test_the_budget_of_a_pack_holds(site: Site, crawl_on: Crawls) -> None:
    site.answers = {"/": html(*(f"/{n}" for n in range(30)))}
    site.answers |= {f"/{n}": html() for n in range(30)}
    pack = pack_with(scope=Scope(hosts=["127.0.0.1"], max_pages=10))
    async with crawl_on(pack=pack) as crawl:
        await crawl.seed(site.url())
        assert await crawl.count() == 10


async def test_other_faults_are_reasons(site: Site, crawl_on: Crawls) -> None:
    site.answers = {
        "/": html("/pdf", "/huge", "/418", "/empty"),
        "/pdf": Answer("%PDF", content_type="application/pdf"),
        "/huge": html(text="x" * 5_000),
        "/418": Answer(status=418),
        "/empty": Answer(status=204),
    }
    pack = pack_with(politeness=Politeness(delay_seconds=0.0, max_body_bytes=2_048))
    async with crawl_on(pack=pack) as crawl:
        await crawl.seed(site.url())
        reasons = {
            path: (await crawl.record(site.url(path))).reason
            for path in ("/pdf", "/huge", "/418", "/empty")
        }
    assert reasons == {
        "/pdf": "not_html",
        "/huge": "body_too_large",
        "/418": "http_4xx",
        "/empty": "http_unexpected",
    }


async def test_a_host_that_is_not_let_through_is_not_asked(crawl_on: Crawls) -> None:
    pack = msgspec.structs.replace(PACK, scope=Scope(hosts=["127.0.0.1", "169.254.169.254"]))
    async with crawl_on(pack=pack) as crawl:
        await crawl.seed("http://169.254.169.254/latest/meta-data")
        record = await crawl.record("http://169.254.169.254/latest/meta-data")
        assert (record.state, record.reason) == (PageState.REFUSED, "address_refused")
        assert "ALLOW_NETWORKS" in record.detail
        assert await crawl.count() == 0
