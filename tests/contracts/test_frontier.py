"""What every frontier keeps."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from itertools import pairwise

import msgspec
import pytest

from crawler.frontier.keys import row_key
from crawler.frontier.port import PageState, Removals
from shared.verdicts import DeadLetter, Discard, HandBack, Retry, Snooze
from tests.contracts.frontier_stage import (
    DELAY,
    Stage,
    memory_stage,
    page,
    paths,
    postgres_redis_stage,
    target,
    visited,
)


@pytest.fixture(params=["memory", "postgres18_valkey9", "postgres15_redis7"])
async def stage(request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    if request.param == "memory":
        async with memory_stage() as made:
            yield made
        return
    new = request.param == "postgres18_valkey9"
    database_url = request.getfixturevalue("database_url" if new else "database15_url")
    redis_url = request.getfixturevalue("redis_url" if new else "redis7_url")
    async with postgres_redis_stage(database_url, redis_url) as made:
        yield made


class TestPoliteness:
    async def test_one_request_at_a_time_for_a_host(self, stage: Stage) -> None:
        await stage.discover(page("/1", pack="fast"), page("/2", pack="fast"))
        (first,) = await stage.take()
        await stage.nothing_for(0.4)
        await stage.release(first)
        assert len(await stage.take()) == 1

    async def test_starts_are_a_delay_apart(self, stage: Stage) -> None:
        await stage.discover(*(page(f"/{n}") for n in range(4)))
        starts = []
        for _ in range(4):
            (delivery,) = await stage.take()
            starts.append(time.monotonic())
            await stage.release(delivery, since=time.monotonic() - starts[-1])
        gaps = [late - early for early, late in pairwise(starts)]
        assert min(gaps) >= DELAY

    async def test_the_delay_counts_from_the_start_not_from_the_end(self, stage: Stage) -> None:
        await stage.discover(page("/1"), page("/2"), crawl_delay_seconds=60.0)
        (first,) = await stage.take()
        await stage.release(first, since=60.0)
        assert len(await stage.take(within=30.0)) == 1

    async def test_a_late_start_moves_the_delay(self, stage: Stage) -> None:
        """The worker paused between its grant and its request."""
        await stage.discover(page("/1"), page("/2"))
        (first,) = await stage.take()
        await asyncio.sleep(2 * DELAY)
        started = time.monotonic()
        await stage.release(first, since=0.0)
        await stage.take()
        assert time.monotonic() - started >= DELAY

    async def test_a_request_that_was_never_sent_frees_its_host_at_once(self, stage: Stage) -> None:
        await stage.discover(page("/1"), page("/2"), crawl_delay_seconds=60.0)
        (first,) = await stage.take()
        await stage.release(first, since=-1.0)
        assert len(await stage.take(within=30.0)) == 1

    async def test_a_settled_request_that_nobody_reported_counts_as_started_now(
        self, stage: Stage
    ) -> None:
        await stage.discover(page("/1"), page("/2"))
        (first,) = await stage.take()
        settled = time.monotonic()
        await stage.commit(first)
        await stage.settle(first)
        await stage.take()
        assert time.monotonic() - settled >= DELAY

    async def test_other_hosts_are_not_held_up(self, stage: Stage) -> None:
        await stage.discover(page("/", "a.test"), page("/", "b.test"), page("/", "c.test"))
        taken = await stage.take(3)
        assert sorted(target(d).host for d in taken) == ["a.test", "b.test", "c.test"]

    async def test_an_idle_host_keeps_its_delay(self, stage: Stage) -> None:
        await stage.discover(page("/1"), crawl_delay_seconds=1.0)
        (only,) = await stage.take()
        started = time.monotonic()
        await stage.visit(only)
        await stage.discover(page("/2"), robots=False)
        await stage.take()
        assert time.monotonic() - started >= 1.0

    async def test_a_crawl_delay_counts_from_the_present_request_on(self, stage: Stage) -> None:
        await stage.discover(page("/1"), page("/2"))
        (first,) = await stage.take()
        started = time.monotonic()
        await stage.allow("http://a.test", crawl_delay_seconds=0.8)
        await stage.release(first)
        await stage.take()
        assert time.monotonic() - started >= 0.8

    async def test_the_longest_block_wins(self, stage: Stage) -> None:
        await stage.discover(page("/1", pack="fast"), page("/2", pack="fast"))
        (first,) = await stage.take()
        blocked = time.monotonic()
        await stage.release(first, block=0.8)
        await stage.release(first, block=0.1)
        await stage.take()
        assert time.monotonic() - blocked >= 0.8

    async def test_a_grant_says_until_when_it_may_be_used(self, stage: Stage) -> None:
        await stage.discover(page("/1"))
        asked = time.monotonic()
        (delivery,) = await stage.take()
        assert asked < target(delivery).use_by <= time.monotonic() + 4.0
        assert target(delivery).use_by < delivery.lease_until <= time.monotonic() + 10.0

    async def test_the_exchange_tells_when_the_next_host_is_ready(self, stage: Stage) -> None:
        await stage.discover(page("/1"), page("/2"), crawl_delay_seconds=60.0)
        (first,) = await stage.take()
        await stage.release(first)
        next_due = (await stage.frontier.exchange([], 1)).next_due_seconds
        assert next_due is not None
        assert 30.0 < next_due <= 60.1


class TestRobots:
    async def test_robots_txt_comes_before_the_pages_of_its_origin(self, stage: Stage) -> None:
        await stage.discover(page("/1"), page("/2"), robots=False)
        (robots,) = await stage.take()
        assert robots.job.type == "fetch_robots"
        assert target(robots).url == "http://a.test/robots.txt"
        assert target(robots).origin == "http://a.test"
        await stage.release(robots)
        await stage.nothing_for(2 * DELAY)
        await stage.allow("http://a.test")
        await stage.commit(robots, next_due_seconds=3600.0)
        await stage.settle(robots)
        assert [d.job.type for d in await stage.take()] == ["fetch_page"]

    async def test_a_stale_record_is_fetched_again_first(self, stage: Stage) -> None:
        await stage.discover(page("/1"), robots=False)
        (robots,) = await stage.take()
        await stage.allow("http://a.test", expires_in_seconds=0.5)
        await stage.visit(robots, next_due_seconds=0.5)
        (first,) = await stage.take()
        await stage.visit(first, next_due_seconds=0.6)
        (again,) = await stage.take()
        assert again.job.type == "fetch_robots"

    async def test_robots_txt_is_not_fetched_for_nothing(self, stage: Stage) -> None:
        await stage.discover(page("/1", pack="fast"), robots=False)
        (robots,) = await stage.take()
        await stage.allow("http://a.test", expires_in_seconds=0.5)
        await stage.visit(robots, next_due_seconds=0.2)
        (first,) = await stage.take()
        await stage.visit(first)
        await stage.nothing_for(1.0)

    async def test_the_record_is_kept_until_it_expires(self, stage: Stage) -> None:
        await stage.discover(page("/1"), robots=False)
        assert await stage.frontier.robots("http://a.test") is None
        text = "User-agent: *\nDisallow: /x"
        await stage.allow("http://a.test", verdict="rules", text=text, expires_in_seconds=0.5)
        record = await stage.frontier.robots("http://a.test")
        assert record is not None
        assert (record.verdict, record.text) == ("rules", text)
        await asyncio.sleep(0.5)
        assert await stage.frontier.robots("http://a.test") is None

    async def test_a_hop_of_a_robots_txt_is_handed_out_each_time(self, stage: Stage) -> None:
        """It is another host's URL, about this origin, and needs no leave of that host."""
        await stage.discover(page("/1", pack="fast"), robots=False)
        plain = page("/robots.txt", "www.a.test", pack="fast", kind="robots", hops=1)
        key = row_key("robots", plain.url_key, "http://a.test")
        hop = msgspec.structs.replace(plain, url_key=key, origin="http://a.test", priority=1000)
        (robots,) = await stage.take()
        for _ in range(2):
            found = page("/robots.txt", "www.a.test", pack="fast", kind="robots", hops=1).__class__(
                url_key=key,
                url=hop.url,
                host=hop.host,
                origin="http://a.test",
                pack="fast",
                kind="robots",
                priority=1000,
                hops=1,
            )
            await stage.frontier.discover([found])
            (delivery,) = await stage.take()
            assert target(delivery).url == "http://www.a.test/robots.txt"
            assert target(delivery).origin == "http://a.test"
            await stage.visit(delivery, next_due_seconds=None)
        await stage.settle(robots, HandBack())


class TestEpochs:
    async def test_a_visit_is_accepted_under_its_epoch_only(self, stage: Stage) -> None:
        await stage.discover(page("/1", pack="fast"))
        (old,) = await stage.take()
        await stage.visit(old, next_due_seconds=0.0)
        (new,) = await stage.take()
        assert target(new).epoch > target(old).epoch
        assert not await stage.commit(old, reason="late")
        assert await stage.commit(new, reason="unchanged")
        record = await stage.frontier.page(page("/1").url_key)
        assert record is not None
        assert record.reason == "unchanged"

    async def test_a_commit_whose_answer_was_lost_may_be_repeated(self, stage: Stage) -> None:
        await stage.discover(page("/1"))
        (delivery,) = await stage.take()
        assert await stage.commit(delivery)
        assert await stage.commit(delivery)

    async def test_a_rolled_back_commit_changes_nothing(self, stage: Stage) -> None:
        await stage.discover(page("/1"))
        (delivery,) = await stage.take()
        with suppress(ZeroDivisionError):
            async with stage.database.transaction() as tx:
                assert await stage.frontier.commit(tx, [visited(delivery)])
                _ = 1 / 0
        record = await stage.frontier.page(page("/1").url_key)
        assert record is not None
        assert record.state is PageState.KNOWN

    async def test_what_a_visit_leaves_comes_back_with_the_next(self, stage: Stage) -> None:
        await stage.discover(page("/1", pack="fast", depth=3, hops=1))
        (first,) = await stage.take()
        kept = {
            "etag": '"x"',
            "last_modified": "Tue",
            "content_hash": "ab",
            "failures": 2,
            "strikes": 1,
            "first_strike_at": 5.0,
            "interval_seconds": 60.0,
        }
        await stage.visit(first, next_due_seconds=0.0, **kept)
        (second,) = await stage.take()
        assert {name: getattr(target(second), name) for name in kept} == kept
        assert (target(second).depth, target(second).hops) == (3, 1)


class TestVerdicts:
    async def test_retry_is_written_to_the_row_and_spends_an_attempt(self, stage: Stage) -> None:
        await stage.discover(page("/1", pack="fast"))
        (first,) = await stage.take()
        assert first.attempt == 1
        await stage.settle(first, Retry("RuntimeError: planted", after=0.0))
        record = await stage.frontier.page(page("/1").url_key)
        assert record is not None
        assert (record.reason, record.detail) == ("processor_error", "RuntimeError: planted")
        (second,) = await stage.take()
        assert second.attempt == 2

    async def test_a_commit_sets_attempts_back(self, stage: Stage) -> None:
        await stage.discover(page("/1", pack="fast"))
        (first,) = await stage.take()
        await stage.settle(first, Retry("planted", after=0.0))
        (second,) = await stage.take()
        await stage.visit(second, next_due_seconds=0.0)
        (third,) = await stage.take()
        assert third.attempt == 1

    async def test_snooze_spends_no_attempt(self, stage: Stage) -> None:
        await stage.discover(page("/1", pack="fast"))
        (first,) = await stage.take()
        snoozed = time.monotonic()
        await stage.settle(first, Snooze(0.5))
        (second,) = await stage.take()
        assert time.monotonic() - snoozed >= 0.5
        assert second.attempt == 1

    async def test_dead_letter_rests_and_says_why(self, stage: Stage) -> None:
        await stage.discover(page("/1", pack="fast"))
        (first,) = await stage.take()
        await stage.settle(first, DeadLetter("planted"))
        await stage.nothing_for(0.3)
        record = await stage.frontier.page(page("/1").url_key)
        assert record is not None
        assert (record.state, record.detail) == (PageState.FAILING, "planted")

    async def test_discard_ends_a_url(self, stage: Stage) -> None:
        await stage.discover(page("/1", pack="fast"))
        (first,) = await stage.take()
        await stage.settle(first, Discard("superseded"))
        record = await stage.frontier.page(page("/1").url_key)
        assert record is not None
        assert (record.state, record.next_due_at) == (PageState.REFUSED, None)

    async def test_hand_back_gives_it_to_somebody_else_at_once(self, stage: Stage) -> None:
        await stage.discover(page("/1"), page("/2"))
        (first,) = await stage.take()
        await stage.release(first, since=-1.0)
        await stage.settle(first, HandBack())
        (second,) = await stage.take()
        assert paths([second]) == paths([first])
        assert second.token != first.token
        assert second.attempt == 1

    async def test_a_second_settlement_is_refused(self, stage: Stage) -> None:
        await stage.discover(page("/1"))
        (first,) = await stage.take()
        await stage.visit(first)
        assert await stage.settle(first) == [first.token]


class TestDiscovery:
    async def test_a_known_url_is_not_added_again(self, stage: Stage) -> None:
        assert await stage.discover(page("/1"), page("/2")) == 2
        assert await stage.discover(page("/2"), page("/3"), page("/3")) == 1

    async def test_higher_priority_comes_first(self, stage: Stage) -> None:
        late = [page(f"/{n}", pack="fast", priority=n) for n in range(3)]
        await stage.discover(*late)
        came = []
        for _ in late:
            (delivery,) = await stage.take()
            came += paths([delivery])
            await stage.visit(delivery)
        assert came == ["/2", "/1", "/0"]

    async def test_a_pack_gets_no_more_pages_than_its_budget(self, stage: Stage) -> None:
        found = [page(f"/{n}", pack="small") for n in range(5)]
        assert await stage.discover(*found) == 3
        assert await stage.discover(*found) == 0
        assert await stage.discover(page("/x", pack="fast")) == 1

    async def test_a_sitemap_may_have_the_url_of_a_page(self, stage: Stage) -> None:
        plain = page("/sitemap.xml", pack="fast")
        key = row_key("sitemap", plain.url_key)
        sitemap = msgspec.structs.replace(plain, url_key=key, kind="sitemap")
        assert await stage.discover(plain, sitemap) == 2
        types = []
        for _ in range(2):
            (delivery,) = await stage.take()
            types.append(delivery.job.type)
            await stage.visit(delivery)
        assert sorted(types) == ["fetch_page", "fetch_sitemap"]

    async def test_many_urls_at_once(self, stage: Stage) -> None:
        found = [page(f"/{n}", f"h{n % 7}.test", pack="fast") for n in range(2_500)]
        assert await stage.discover(*found, robots=False) == 2_500
        status = await stage.frontier.status()
        assert (status.pages, status.hosts) == ({"known": 2_500}, 7)


class TestAsking:
    async def test_recrawl_makes_visited_pages_due(self, stage: Stage) -> None:
        await stage.discover(page("/1", pack="fast"), page("/2", "b.test", "fast"))
        for delivery in await stage.take(2):
            await stage.visit(delivery)
        await stage.nothing_for(0.2)
        assert await stage.frontier.recrawl([page("/1").url_key]) == 1
        (again,) = await stage.take()
        assert paths([again]) == ["/1"]
        await stage.visit(again)
        assert await stage.frontier.recrawl(None) == 2
        assert len(await stage.take(2)) == 2

    async def test_recrawl_of_all_reads_sitemaps_again(self, stage: Stage) -> None:
        plain = page("/sitemap.xml", pack="fast")
        key = row_key("sitemap", plain.url_key)
        await stage.discover(msgspec.structs.replace(plain, url_key=key, kind="sitemap"))
        (delivery,) = await stage.take()
        await stage.visit(delivery)
        assert await stage.frontier.recrawl(None) == 0
        assert [d.job.type for d in await stage.take()] == ["fetch_sitemap"]

    async def test_status_counts(self, stage: Stage) -> None:
        await stage.discover(page("/1"), page("/2"), page("/3", "b.test"))
        first, other = sorted(await stage.take(2), key=lambda d: target(d).host)
        await stage.visit(first, state=PageState.GONE, reason="http_410", next_due_seconds=99.0)
        status = await stage.frontier.status()
        assert status.pages == {"gone": 1, "known": 2}
        assert status.reasons == {"http_410": 1}
        assert status.in_flight == 1
        assert status.hosts == 2
        assert status.next_due_seconds is not None
        assert 90 < status.next_due_seconds <= 99
        await stage.settle(other, HandBack())

    async def test_page_tells_everything(self, stage: Stage) -> None:
        await stage.discover(page("/1", depth=2, found_on="http://a.test/"))
        (delivery,) = await stage.take()
        await stage.visit(
            delivery,
            state=PageState.EXCLUDED,
            reason="canonical",
            status=200,
            canonical="http://a.test/c",
            content_hash="ff",
            detail="why",
        )
        record = await stage.frontier.page(page("/1").url_key)
        assert record is not None
        assert record.url == "http://a.test/1"
        assert (record.state, record.reason) == (PageState.EXCLUDED, "canonical")
        assert (record.status, record.depth, record.detail) == (200, 2, "why")
        assert (record.canonical, record.content_hash) == ("http://a.test/c", "ff")
        assert record.found_on == "http://a.test/"
        assert record.last_visit_at == pytest.approx(time.time(), abs=30)
        assert record.next_due_at == pytest.approx(time.time() + 3600, abs=30)
        assert await stage.frontier.page(b"\0" * 16) is None

    async def test_removals_are_counted_within_the_window(self, stage: Stage) -> None:
        await stage.discover(page("/1", pack="fast"), page("/2", "b.test", "fast"))
        first, second = await stage.take(2)
        await stage.visit(first, document_id="one")
        await stage.visit(second, removed=True)
        assert await stage.frontier.removals("fast", 60.0) == Removals(live=1, removed=1)
        assert await stage.frontier.removals("p", 60.0) == Removals(live=0, removed=0)

    async def test_wait_ends_when_there_is_work(self, stage: Stage) -> None:
        waiting = asyncio.create_task(stage.frontier.wait(60.0))
        await stage.discover(page("/1"))
        await asyncio.wait_for(waiting, 30.0)

    async def test_nul_and_broken_text_are_kept_out(self, stage: Stage) -> None:
        await stage.discover(page("/1"))
        (delivery,) = await stage.take()
        assert await stage.commit(delivery, etag="a\0b\udcff", detail="\0")
