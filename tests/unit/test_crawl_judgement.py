"""What an answer means for its page."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from crawler.commit_group import Outcome
from crawler.fetcher.port import FetchAnswer, FetchFault
from crawler.frontier.port import PageState, Target
from crawler.metrics import LEFT_OUT
from crawler.parser.port import Link, ParsedPage
from crawler.processors.judgement import Judge
from crawler.processors.links import pages_in_scope
from crawler.processors.robots_leave import NoLeave
from crawler.reasons import Reason, explain
from crawler.url.normalizer import normalize
from shared.contracts.domain_pack import DomainPack, Recrawl, Scope

URL = normalize("http://a.test/page")
DAY = 86_400.0
PACK = DomainPack(
    name="p",
    scope=Scope(hosts=["a.test"], deny=["^/no"]),
    recrawl=Recrawl(gone_strikes=2, strike_interval_seconds=DAY),
)
NOW = 1_700_000_000.0


def target(**known: Any) -> Target:
    return Target(
        url_key=URL.key.hex(), url=URL.url, host=URL.host, origin=URL.origin, pack="p", epoch=3,
        **known,
    )  # fmt: skip


STORED = {"content_hash": "ab" * 16, "etag": '"1"', "interval_seconds": DAY}


def answer(status: int = 200, **more: Any) -> FetchAnswer:
    return FetchAnswer(url=URL.url, status=status, arrived_by=0.0, **more)


def judged(got: FetchAnswer, wall: float = NOW, **known: Any) -> Outcome:
    return Judge(target(**known), PACK, wall).answer(got)


def parsed(content: bytes = b"\1" * 16, **more: Any) -> ParsedPage:
    return ParsedPage(body=b'{"a":1}', content_hash=content, **more)


def page(told: ParsedPage, **known: Any) -> Outcome:
    return Judge(target(**known), PACK, NOW).page(answer(), told)


@pytest.mark.parametrize(
    ("got", "state", "reason"),
    [
        (answer(410), PageState.GONE, "http_410"),
        (answer(301, redirect_to="http://a.test/new"), PageState.EXCLUDED, "redirect"),
    ],
)
def test_removed_at_once(got: FetchAnswer, state: PageState, reason: str) -> None:
    visit = judged(got, **STORED).visit
    assert (visit.state, visit.reason) == (state, reason)
    assert visit.removed
    assert (visit.content_hash, visit.document_id) == ("", "")


@pytest.mark.parametrize(
    ("got", "reason"),
    [
        (answer(401), "forbidden"),
        (answer(403), "forbidden"),
        (answer(418), "http_4xx"),
        (answer(429), "http_429"),
        (answer(500), "http_5xx"),
        (answer(503), "http_5xx"),
        (answer(204), "http_unexpected"),
        (answer(404), "http_404"),
        (answer(302, redirect_to="http://a.test/maintenance"), "redirect"),
        *((answer(0, fault=fault), fault.value) for fault in FetchFault),
    ],
)
def test_never_removed_on_the_first_visit(got: FetchAnswer, reason: str) -> None:
    visit = judged(got, **STORED).visit
    assert visit.reason == reason
    assert not visit.removed
    assert visit.content_hash == STORED["content_hash"]
    assert visit.document_id == URL.key.hex()
    assert visit.etag == '"1"'


def test_a_404_is_removed_by_its_second_strike() -> None:
    first = judged(answer(404), **STORED).visit
    assert (first.strikes, first.first_strike_at, first.next_due_seconds) == (1, NOW, DAY)
    known = STORED | {"strikes": 1, "first_strike_at": NOW}
    early = judged(answer(404), NOW + DAY - 1, **known).visit
    assert (early.strikes, early.removed, early.next_due_seconds) == (1, False, 1.0)
    late = judged(answer(404), NOW + DAY, **known).visit
    assert (late.strikes, late.removed, late.state) == (2, True, PageState.GONE)


def test_a_404_without_a_document_is_gone_at_once() -> None:
    visit = judged(answer(404)).visit
    assert (visit.state, visit.removed) == (PageState.GONE, False)


def test_a_good_visit_forgets_strikes_and_failures() -> None:
    visit = page(parsed(), strikes=1, first_strike_at=NOW, failures=4).visit
    assert (visit.strikes, visit.first_strike_at, visit.failures) == (0, 0.0, 0)


def test_transient_failures_back_off() -> None:
    delays = [judged(answer(500), failures=n).visit.next_due_seconds for n in range(12)]
    assert delays[:3] == [60.0, 120.0, 240.0]
    assert delays[-1] == DAY


def test_a_lasting_fault_is_not_tried_often() -> None:
    visit = judged(answer(0, fault=FetchFault.TOO_LARGE)).visit
    assert visit.next_due_seconds == PACK.recrawl.max_interval_seconds


def test_not_modified_keeps_everything_and_calms_down() -> None:
    visit = judged(answer(304), **STORED).visit
    assert (visit.state, visit.reason) == (PageState.FETCHED, "not_modified")
    assert visit.next_due_seconds == 1.5 * DAY
    assert visit.etag == '"1"'


def test_not_modified_without_a_document_is_a_fault() -> None:
    assert judged(answer(304)).visit.state is PageState.FAILING


def test_a_changed_page_is_visited_sooner_and_stored() -> None:
    outcome = page(parsed(), **STORED)
    assert outcome.document is not None
    assert outcome.document.id == URL.key.hex()
    assert (outcome.visit.reason, outcome.visit.next_due_seconds) == ("ok", DAY / 2)


def test_an_unchanged_page_is_visited_later_and_not_stored() -> None:
    outcome = page(parsed(bytes.fromhex("ab" * 16)), **STORED)
    assert outcome.document is None
    assert outcome.visit.body == b""
    assert (outcome.visit.reason, outcome.visit.next_due_seconds) == ("unchanged", 1.5 * DAY)


def test_noindex_wins_over_canonical_and_its_links_count() -> None:
    told = parsed(noindex=True, canonical="http://a.test/other", links=[Link("http://a.test/next")])
    outcome = page(told, **STORED)
    assert (outcome.visit.reason, outcome.visit.removed) == ("noindex", True)
    assert [found.url for found in outcome.found] == ["http://a.test/next"]


def test_canonical_elsewhere_is_discovered() -> None:
    outcome = page(parsed(canonical="http://a.test/other"), depth=2)
    assert (outcome.visit.reason, outcome.visit.canonical) == ("canonical", "http://a.test/other")
    assert [(found.url, found.depth) for found in outcome.found] == [("http://a.test/other", 2)]


@pytest.mark.parametrize("canonical", ["http://a.test/page", "http://a.test/page?utm_source=x"])
def test_a_page_may_name_itself_as_canonical(canonical: str) -> None:
    assert page(parsed(canonical=canonical)).visit.reason == "ok"


@pytest.mark.parametrize("canonical", ["http://b.test/", "http://a.test/no/entry"])
def test_a_canonical_out_of_scope_is_ignored_and_recorded(canonical: str) -> None:
    visit = page(parsed(canonical=canonical)).visit
    assert (visit.reason, visit.detail) == ("ok", f"canonical ignored: {canonical}")


def test_a_canonical_that_is_no_web_address_is_ignored_and_recorded() -> None:
    visit = page(parsed(ignored_canonical="file:///x.html")).visit
    assert (visit.reason, visit.detail) == ("ok", "canonical ignored: file:///x.html")


def test_a_page_without_a_required_field_has_no_document() -> None:
    visit = page(parsed(missing_fields=["price", "name"]), **STORED).visit
    assert (visit.reason, visit.detail, visit.removed) == ("missing_fields", "price, name", True)


def test_links_out_of_scope_nofollow_or_to_itself_are_not_followed() -> None:
    links = [
        Link("http://a.test/yes"),
        Link("http://a.test/yes#again"),
        Link("http://a.test/nofollow", nofollow=True),
        Link("http://a.test/no/entry"),
        Link("http://b.test/"),
        Link("http://a.test/page"),
        Link("http://[bad"),
    ]
    outcome = page(parsed(links=links), depth=4)
    (found,) = outcome.found
    assert (found.url, found.depth, found.priority) == ("http://a.test/yes", 5, -5)
    assert (found.pack, found.found_on) == ("p", URL.url)
    assert outcome.left_out == {
        "nofollow": 1, "denied_by_rule": 1, "host_not_in_scope": 1, "invalid_url": 1,
    }  # fmt: skip
    assert page(parsed(links=links, nofollow=True)).found == []


@pytest.mark.parametrize(
    ("link", "depth", "reason"),
    [
        ("http://b.test/", 0, "host_not_in_scope"),
        ("http://a.test/no/entry", 0, "denied_by_rule"),
        ("http://a.test/elsewhere", 0, "not_allowed_by_rule"),
        ("http://a.test/yes", 9, "too_deep"),
        (f"http://a.test/yes{'y' * 100}", 0, "url_too_long"),
        ("http://a.test/yes/1/2/3/4/5", 0, "too_many_segments"),
        ("http://a.test/yes/x/x/x", 0, "repeated_segments"),
        ("http://a.test/yes?a&b&c&d", 0, "too_many_parameters"),
        ("http://[bad", 0, "invalid_url"),
        ("ftp://a.test/", 0, "scheme_not_http"),
        ("http://me:secret@a.test/yes", 0, "url_has_userinfo"),
        (f"http://{'a' * 64}.test/yes", 0, "invalid_host"),
    ],
)
def test_a_link_that_is_left_out_has_a_reason_that_is_counted(
    link: str, depth: int, reason: str
) -> None:
    scope = Scope(
        hosts=["a.test"], allow=["^/yes"], deny=["^/no"], max_depth=8, max_url_length=100,
        max_path_segments=5, max_repeated_segments=2, max_query_parameters=3,
    )  # fmt: skip
    narrow = msgspec.structs.replace(PACK, scope=scope)
    links = pages_in_scope([link], target(depth=depth), narrow)
    assert (links.found, links.left_out) == ([], {reason: 1})
    assert reason in {each.value for each in LEFT_OUT}


def test_a_redirect_chain_ends() -> None:
    to = answer(302, redirect_to="http://a.test/next")
    assert [found.hops for found in judged(to, hops=4).found] == [5]
    outcome = judged(to, hops=5)
    assert (outcome.visit.reason, outcome.found) == ("too_many_redirects", ())


@pytest.mark.parametrize(
    ("to", "reason"),
    [
        ("http://b.test/", "redirect_out_of_scope"),
        ("ftp://a.test/", "redirect_invalid"),
        ("", "redirect_invalid"),
        ("http://a.test/page?utm_source=x", "redirect_to_itself"),
    ],
)
def test_redirects_that_lead_nowhere(to: str, reason: str) -> None:
    outcome = judged(answer(302, redirect_to=to))
    assert (outcome.visit.state, outcome.visit.reason) == (PageState.EXCLUDED, reason)
    assert outcome.found == ()


def test_out_of_scope_removes_but_robots_do_not() -> None:
    judge = Judge(target(**STORED), PACK, NOW)
    assert judge.out_of_scope("denied_by_rule", "^/no").visit.removed
    assert not judge.refused("robots_denied", "Disallow: /").visit.removed
    no_leave = NoLeave(PageState.FAILING, Reason.ROBOTS_UNREACHABLE, "http_5xx", 60.0)
    assert not judge.without_leave(no_leave).visit.removed


def test_every_fault_has_an_explanation() -> None:
    codes = {reason.value for reason in Reason}
    assert {fault.value for fault in FetchFault} <= codes
    assert explain("http_404") == Reason.HTTP_404.explanation
    assert explain("of another version") == "of another version"
    assert all(reason.explanation.endswith(".") for reason in Reason)
