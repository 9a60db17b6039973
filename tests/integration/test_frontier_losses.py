"""Losing Redis, a worker or an answer loses no URL and breaks no delay."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from itertools import pairwise

import msgspec
import pytest
import redis

from crawler.frontier.port import FETCH_PAGE, HostReport, PageState
from crawler.frontier.postgres_redis.feeder import Feeder
from crawler.frontier.postgres_redis.frontier import PostgresRedisFrontier
from crawler.frontier.postgres_redis.heads import Exchanged, RedisHeads
from shared.errors import ConnectionLostError
from shared.postgres.database import PostgresDatabase
from shared.verdicts import Done, Settlement
from tests.contracts.frontier_stage import (
    DELAY,
    SETTINGS,
    Stage,
    page,
    paths,
    postgres_redis_stage,
    target,
)
from tests.services.servers import Redis

LONGEST_FETCH = SETTINGS.grant_seconds + SETTINGS.longest_fetch_seconds
"""From the grant on, not from the start."""


@pytest.fixture
async def stage(database_url: str, redis_url: str) -> AsyncIterator[Stage]:
    async with postgres_redis_stage(database_url, redis_url) as made:
        yield made


@pytest.fixture
async def short(stage: Stage) -> PostgresRedisFrontier:
    """A frontier whose leases are short."""
    settings = msgspec.structs.replace(SETTINGS, lease_seconds=1.0, grant_seconds=0.3)
    frontier = await stage.open_another(settings)
    assert isinstance(frontier, PostgresRedisFrontier)
    return frontier


def flush(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()


class TestRedisLost:
    async def test_no_url_is_lost(self, stage: Stage, redis_url: str) -> None:
        found = [page(f"/{n}", f"h{n % 3}.test", "fast") for n in range(30)]
        await stage.discover(*found)
        seen = set()
        for delivery in await stage.take(3):
            seen.update(paths([delivery]))
            await stage.visit(delivery)
        flush(redis_url)
        while len(seen) < 30:
            for delivery in await stage.take():
                seen.update(paths([delivery]))
                await stage.visit(delivery)
        assert seen == {f"/{n}" for n in range(30)}

    async def test_a_visit_from_before_is_dropped(self, stage: Stage, redis_url: str) -> None:
        await stage.discover(page("/1", pack="fast"))
        (old,) = await stage.take()
        flush(redis_url)
        (new,) = await stage.take()
        assert target(new).epoch > target(old).epoch
        assert not await stage.commit(old)
        assert await stage.settle(old) == [old.token]
        assert await stage.commit(new)

    async def test_a_host_with_a_request_out_is_held_for_the_longest_fetch(
        self, stage: Stage, redis_url: str
    ) -> None:
        await stage.discover(page("/1"), page("/2"))
        await stage.take()
        lost = time.monotonic()
        flush(redis_url)
        await stage.take()
        assert time.monotonic() - lost >= DELAY + LONGEST_FETCH

    async def test_a_host_whose_requests_were_over_is_held_for_its_delay(
        self, stage: Stage, redis_url: str
    ) -> None:
        await stage.discover(page("/1"), crawl_delay_seconds=0.5)
        (only,) = await stage.take()
        await stage.visit(only)
        lost = time.monotonic()
        flush(redis_url)
        await stage.discover(page("/2"), robots=False)
        await stage.take()
        assert time.monotonic() - lost >= 0.5

    async def test_a_host_that_nobody_asked_before_is_not_held(
        self, stage: Stage, redis_url: str
    ) -> None:
        flush(redis_url)
        began = time.monotonic()
        await stage.discover(page("/1"))
        await stage.take()
        assert time.monotonic() - began < DELAY + LONGEST_FETCH

    async def test_blocks_outlive_it(self, stage: Stage, redis_url: str) -> None:
        await stage.discover(page("/1", pack="fast"), page("/2", pack="fast"))
        (first,) = await stage.take()
        blocked = time.monotonic()
        await stage.release(first, block=2.0)
        await stage.commit(first)
        await stage.settle(first)
        flush(redis_url)
        await stage.take()
        assert time.monotonic() - blocked >= 2.0

    async def test_a_block_that_redis_was_not_told_counts_all_the_same(
        self, stage: Stage, redis_url: str
    ) -> None:
        await stage.discover(page("/1", pack="fast"))
        (first,) = await stage.take()
        blocked = time.monotonic()
        cut_off = PostgresRedisFrontier(stage.database, "redis://127.0.0.1:1", SETTINGS)
        report = HostReport(
            token=first.token, host="a.test", since_start_seconds=0.0, block_seconds=1.5
        )
        with pytest.raises(ConnectionLostError):
            await cut_off.release([report])
        await cut_off.close()
        await stage.commit(first)
        await stage.settle(first)
        await stage.discover(page("/2", pack="fast"), robots=False)
        await stage.take()
        assert time.monotonic() - blocked >= 1.5

    async def test_a_restart_is_noticed_before_the_next_grant(
        self, database_url: str, redis7_server: Redis
    ) -> None:
        """Its append-only file may lack the last second."""
        async with postgres_redis_stage(database_url, redis7_server.url) as stage:
            await stage.discover(page("/1"), page("/2"), page("/3"))
            (first,) = await stage.take()
            await asyncio.to_thread(redis7_server.restart)
            lost = time.monotonic()
            while True:
                try:
                    (second,) = await stage.take()
                    break
                except ConnectionLostError:
                    await asyncio.sleep(0.05)
            assert time.monotonic() - lost >= DELAY + LONGEST_FETCH - 0.1
            assert not await stage.commit(first) or paths([first]) != paths([second])


class TestWorkerLost:
    async def test_an_expired_lease_comes_back_under_a_higher_epoch(
        self, stage: Stage, short: PostgresRedisFrontier
    ) -> None:
        await stage.discover(page("/1", pack="fast"))
        (old,) = await stage.take(frontier=short)
        (new,) = await stage.take()
        assert target(new).epoch == target(old).epoch + 2
        assert (new.crashes, new.attempt) == (1, 1)
        assert not await stage.commit(old)

    async def test_its_host_is_blocked_for_the_delay_from_then_on(
        self, stage: Stage, short: PostgresRedisFrontier
    ) -> None:
        await stage.discover(page("/1"), page("/2"), crawl_delay_seconds=0.6)
        granted = time.monotonic()
        await stage.take(frontier=short)
        await stage.take()
        assert time.monotonic() - granted >= 1.0 + 0.6

    async def test_a_page_that_kills_workers_ends(
        self, stage: Stage, short: PostgresRedisFrontier
    ) -> None:
        await stage.discover(page("/1", pack="fast"))
        for crashes in range(3):
            (delivery,) = await stage.take(frontier=short)
            assert delivery.crashes == crashes

        async def rests() -> bool:
            record = await stage.frontier.page(page("/1").url_key)
            assert record is not None
            return (record.state, record.reason) == (PageState.FAILING, "worker_crashed")

        async with asyncio.timeout(10):
            while not await rests():
                await asyncio.sleep(0.05)
        await stage.nothing_for(0.5)

    async def test_a_late_block_still_counts(
        self, stage: Stage, short: PostgresRedisFrontier
    ) -> None:
        await stage.discover(page("/1", pack="fast"), page("/2", pack="fast"))
        (old,) = await stage.take(frontier=short)
        (new,) = await stage.take()
        blocked = time.monotonic()
        await stage.release(old, block=1.0)
        await stage.release(new)
        await stage.take()
        assert time.monotonic() - blocked >= 1.0

    async def test_a_keeper_renews_leases_and_tells_those_that_are_lost(
        self, stage: Stage, short: PostgresRedisFrontier
    ) -> None:
        await stage.discover(page("/1"), page("/1", "b.test"))
        kept, gone = await stage.take(2, frontier=short)
        await stage.settle(gone)
        lost: list[str] = []
        told = asyncio.Event()
        loop = asyncio.get_running_loop()

        def on_lost(tokens: object) -> None:
            lost.extend(tokens)  # type: ignore[call-overload]
            loop.call_soon_threadsafe(told.set)

        keeper = short.lease_keeper()
        until = time.monotonic() + 60
        keeper.start({kept.token: until, gone.token: until}, on_lost)
        await asyncio.wait_for(told.wait(), 10)
        await stage.nothing_for(1.5)
        await asyncio.to_thread(keeper.stop)
        assert set(lost) == {gone.token}
        assert await stage.settle(kept) == []


class TestAnswersLost:
    async def test_a_repeated_exchange_gets_the_same_answer(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await stage.discover(*(page("/1", f"h{n}.test") for n in range(3)))
        (first,) = await stage.take()
        await stage.commit(first)
        real, broken = RedisHeads.exchange, []

        async def lose_the_answer(self: RedisHeads, *arguments: object) -> Exchanged:
            answer = await real(self, *arguments)  # type: ignore[arg-type]
            if not broken:
                broken.append(answer)
                raise ConnectionLostError("planted")
            return answer

        monkeypatch.setattr(RedisHeads, "exchange", lose_the_answer)
        settled = [Settlement(first, Done())]
        with pytest.raises(ConnectionLostError):
            await stage.frontier.exchange(settled, 5)
        again = await stage.frontier.exchange(settled, 5)
        assert again.refused == []
        assert [d.token for d in again.deliveries] == [g.token for g in broken[0].answer.grants]
        assert len(again.deliveries) == 2

    async def test_claims_that_never_reached_redis_are_found(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The feeder was killed between its claim and its push."""
        claimed = asyncio.Event()

        async def killed(*_: object) -> None:
            claimed.set()

        with monkeypatch.context() as patched:
            patched.setattr(Feeder, "_push", killed)
            await stage.discover(page("/1", pack="fast"))
            await asyncio.wait_for(claimed.wait(), 10)
        frontier = stage.frontier
        assert isinstance(frontier, PostgresRedisFrontier)
        assert await frontier.feeder.sweep(older_than_seconds=60.0) == 0
        await stage.nothing_for(0.3)
        assert await frontier.feeder.sweep(older_than_seconds=0.0) == 1
        assert paths(await stage.take()) == ["/1"]

    async def test_a_feeder_that_cannot_reach_redis_gives_its_claims_back(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real, failed = RedisHeads.feed, []

        async def fails_once(self: RedisHeads, feed: object) -> bool:
            if not failed:
                failed.append(feed)
                raise ConnectionLostError("planted")
            return await real(self, feed)  # type: ignore[arg-type]

        monkeypatch.setattr(RedisHeads, "feed", fails_once)
        await stage.discover(page("/1", pack="fast"))
        assert paths(await stage.take()) == ["/1"]
        assert failed


class TestManyProcesses:
    async def test_starts_are_a_delay_apart_whoever_asks(
        self, stage: Stage, database_url: str, redis_url: str
    ) -> None:
        await stage.discover(*(page(f"/{n}") for n in range(8)))
        hammers = [
            await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tests.integration.frontier_hammer"),
                *(database_url, redis_url, "6"),
                stdout=asyncio.subprocess.PIPE,
            )
            for _ in range(4)
        ]
        outputs = await asyncio.gather(*(hammer.communicate() for hammer in hammers))
        per_process = [json.loads(out) for out, _ in outputs]
        starts = sorted(start for starts in per_process for start in starts)
        gaps = [late - early for early, late in pairwise(starts)]
        assert sum(1 for starts in per_process if starts) >= 2
        assert len(starts) >= 8
        assert min(gaps) >= DELAY

    async def test_feeders_hand_out_nothing_twice(self, stage: Stage) -> None:
        others = [await stage.open_another() for _ in range(3)]
        found = [page(f"/{n}", f"h{n % 5}.test", "fast") for n in range(60)]
        await stage.discover(*found)
        seen: list[str] = []
        sources = [stage.frontier, *others]
        while len(seen) < 60:
            for frontier in sources:
                for delivery in (await frontier.exchange([], 3)).deliveries:
                    # A feeder may have met an origin before the test said what its robots.txt is.
                    if delivery.job.type == FETCH_PAGE:
                        seen += paths([delivery])
                    await stage.visit(delivery)
            await asyncio.sleep(0)
        await stage.nothing_for(0.3)
        assert sorted(seen) == sorted(f"/{n}" for n in range(60))
        database = stage.database
        assert isinstance(database, PostgresDatabase)
        async with database.connection() as connection:
            epochs = await connection.fetch("SELECT claim_epoch FROM pages WHERE kind = 'page'")
        assert {row["claim_epoch"] for row in epochs} == {1}
