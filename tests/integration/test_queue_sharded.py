"""A queue over several parts: what belongs together meets, and a part that is away harms none."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Collection
from concurrent.futures import Future
from uuid import uuid4

import pytest
import redis

from shared.errors import ConfigError, ConnectionLostError
from shared.jobs import Delivery, Job
from shared.queue.administration import QueueAdmin
from shared.queue.factory import (
    create_job_results,
    create_queue,
    create_queue_admin,
    create_schedule_store,
)
from shared.queue.port import Published, Queue, QueueSettings
from shared.queue.redis.queue import RedisQueue
from shared.queue.schedules import Schedule
from shared.queue.sharded.names import settings_of_shards, shard_of
from shared.queue.sharded.part import shares
from shared.queue.sharded.queue import ShardedQueue
from shared.verdicts import DeadLetter, Done, HandBack, Settlement
from tests.services.servers import Redis

SHARDS = 3


@pytest.fixture
def settings() -> QueueSettings:
    return QueueSettings(name=f"jobs-{uuid4().hex[:8]}", shards=SHARDS)


@pytest.fixture
async def queue(redis_cluster_url: str, settings: QueueSettings) -> AsyncIterator[Queue]:
    """A queue on a real cluster, spread over its nodes."""
    opened = create_queue(settings, redis_cluster_url)
    await opened.open("tester", ["job"])
    yield opened
    await opened.close()


@pytest.fixture
async def admin(redis_cluster_url: str, settings: QueueSettings) -> AsyncIterator[QueueAdmin]:
    made = create_queue_admin(settings, redis_cluster_url)
    yield made
    await made.close()


def job(key: str, **more: str) -> Job:
    return Job(type="job", key=key, **more)  # type: ignore[arg-type]


async def claim(queue: Queue, want: int) -> list[Delivery]:
    """Claim until there is nothing more, settling nothing."""
    found: list[Delivery] = []
    while len(found) < want:
        answer = await queue.exchange([], want - len(found))
        found += answer.deliveries
        if not answer.deliveries and answer.next_due_seconds != 0:
            break
    return found


def keys(deliveries: Collection[Delivery]) -> set[str]:
    return {each.job.key for each in deliveries}


async def test_jobs_are_spread_and_all_are_found_and_finished(queue: Queue) -> None:
    sent = [job(str(n)) for n in range(300)]
    assert await queue.publish(sent) == Published(300)
    used = [shard_of(each, SHARDS) for each in sent]
    assert all(used.count(shard) > 50 for shard in range(SHARDS))
    deliveries = await claim(queue, 300)
    assert keys(deliveries) == {each.key for each in sent}
    answer = await queue.exchange([Settlement(each, Done()) for each in deliveries], 10)
    assert not answer.refused
    assert (await queue.depth()).leased == 0


async def test_no_more_is_claimed_than_wanted(queue: Queue) -> None:
    await queue.publish([job(str(n)) for n in range(100)])
    for want in (1, 2, 7, 10):
        assert len((await queue.exchange([], want)).deliveries) <= want


async def test_one_part_with_all_the_work_is_claimed_from_at_speed(queue: Queue) -> None:
    await queue.publish([job(str(n), lane="one") for n in range(300)])
    rounds = 0
    while found := (await queue.exchange([], 100)).deliveries:
        await queue.exchange([Settlement(each, Done()) for each in found], 0)
        rounds += 1
    assert rounds <= 6, "its share grows as the others stay empty"


async def test_what_must_meet_meets(queue: Queue) -> None:
    assert await queue.publish([job("a", dedup_key="d")]) == Published(1)
    assert await queue.publish([job("b", dedup_key="d")]) == Published(0, 1)
    assert await queue.publish([job("a", dedup_key="d")]) == Published(0, 1)


async def test_the_plain_inbox_is_that_of_the_first_part(
    queue: Queue, settings: QueueSettings, redis_cluster_url: str
) -> None:
    with redis.RedisCluster.from_url(redis_cluster_url.replace("+cluster", "")) as client:
        client.lpush(settings.name, b'{"type":"job","id":"7"}')
    (delivery,) = await claim(queue, 1)
    assert delivery.job.id == "7"


async def test_a_late_answer_is_refused_under_the_token_that_was_given(
    queue: Queue, settings: QueueSettings, redis_cluster_url: str
) -> None:
    short = QueueSettings(name=settings.name, shards=SHARDS, lease_seconds=0.2)
    other = create_queue(short, redis_cluster_url)
    await other.open("tester", ["job"])
    await queue.publish([job("a")])
    (stale,) = await claim(other, 1)
    async with asyncio.timeout(30):
        while not (fresh := await claim(queue, 1)):
            await queue.wait(0.1)
    assert (await other.exchange([Settlement(stale, Done())], 0)).refused == [stale.token]
    assert not (await queue.exchange([Settlement(fresh[0], Done())], 0)).refused
    await other.close()


async def test_leases_of_every_part_are_renewed_and_losses_are_told(
    settings: QueueSettings, redis_cluster_url: str, queue: Queue
) -> None:
    short = QueueSettings(name=settings.name, shards=SHARDS, lease_seconds=1.2)
    other = create_queue(short, redis_cluster_url)
    await other.open("tester", ["job"])
    await queue.publish([job(str(n)) for n in range(12)])
    mine = await claim(other, 12)
    told: Future[Collection[str]] = Future()
    keeper = other.lease_keeper()
    held = {each.token: time.monotonic() + 60 for each in mine}
    keeper.start(held, lambda lost: told.done() or told.set_result(lost))
    time.sleep(1.8)  # the loop does nothing at all
    assert not await claim(queue, 12)
    await other.exchange([Settlement(mine[0], HandBack())], 0)
    await claim(queue, 1)
    assert list(await asyncio.wait_for(asyncio.wrap_future(told), 30)) == [mine[0].token]
    keeper.stop()
    await other.close()


async def test_dead_letters_of_all_parts_are_one_list(queue: Queue, admin: QueueAdmin) -> None:
    await queue.publish([job(str(n)) for n in range(20)])
    deliveries = await claim(queue, 20)
    for each in deliveries:
        await queue.exchange([Settlement(each, DeadLetter("no"))], 0)
    pages = [await admin.dead_letters(limit=8, offset=at) for at in (0, 8, 16)]
    listed = [each.key for page in pages for each in page]
    assert listed == [each.job.key for each in deliveries], "oldest first"
    assert await admin.replay(listed[:5]) == 5
    assert await admin.purge(listed[5:10]) == 5
    assert (await admin.depth()).dead == 10
    assert len(await admin.jobs("ready", limit=100)) == 5
    record = await admin.job(listed[0])
    assert record is not None
    assert record.state == "ready"
    assert await admin.cancel(listed[:2]) == 2


async def test_a_pause_reaches_every_part(queue: Queue, admin: QueueAdmin) -> None:
    await queue.publish([job(str(n)) for n in range(20)])
    await admin.pause()
    assert await admin.paused() == (True, [])
    assert not await claim(queue, 20)
    await admin.resume()
    assert len(await claim(queue, 20)) == 20


class TestPartAway:
    """Two parts on two servers, of which one dies."""

    @pytest.fixture
    async def halves(
        self, settings: QueueSettings, redis_url: str, valkey_server: Redis
    ) -> AsyncIterator[ShardedQueue]:
        with redis.Redis.from_url(valkey_server.url) as client:
            client.config_set("appendfsync", "always")  # it is going to be killed
        parts = settings_of_shards(QueueSettings(name=settings.name, shards=2))
        urls = (redis_url, valkey_server.url)
        queue = ShardedQueue([RedisQueue(part, url) for part, url in zip(parts, urls, strict=True)])
        await queue.open("tester", ["job"])
        yield queue
        await queue.close()

    async def test_the_other_goes_on_and_nothing_is_forgotten(
        self, halves: ShardedQueue, valkey_server: Redis
    ) -> None:
        sent = [job(str(n)) for n in range(40)]
        await halves.publish(sent)
        deliveries = await claim(halves, 20)
        valkey_server.kill()
        await halves.exchange([Settlement(each, Done()) for each in deliveries], 0)
        here = [each for each in sent if shard_of(each, 2) == 0]
        done = keys(deliveries)
        async with asyncio.timeout(40):
            while not {each.key for each in here} <= done:
                answer = await halves.exchange([], 10)
                done |= keys(answer.deliveries)
                await halves.exchange([Settlement(each, Done()) for each in answer.deliveries], 0)
            valkey_server.start()
            while len(done) < 40:
                answer = await halves.exchange([], 10)
                done |= keys(answer.deliveries)
                settled = [Settlement(each, Done()) for each in answer.deliveries]
                await halves.exchange(settled, 0)
            while (depth := await halves.depth()).leased:
                await halves.exchange([], 0)
        assert (depth.ready, depth.dead) == (0, 0)

    async def test_when_all_are_away_it_is_lost(
        self, settings: QueueSettings, valkey_server: Redis
    ) -> None:
        queue = create_queue(settings, valkey_server.url)
        await queue.open("tester", ["job"])
        valkey_server.kill()
        with pytest.raises(ConnectionLostError):
            await queue.exchange([], 10)
        with pytest.raises(ConnectionLostError):
            await queue.publish([job("a")])
        await queue.close()


def test_what_is_wanted_is_divided_whole_and_none_is_forgotten() -> None:
    for want in range(50):
        for found in ([0, 0, 0], [100, 0, 0], [1, 2, 3]):
            for turn in range(4):
                assert sum(shares(want, found, turn)) == want
    assert sorted(shares(103, [100, 0, 0], 0)) == [1, 1, 101]
    first = [shares(1, [100, 0, 0], turn).index(1) for turn in range(3)]
    assert first == [0, 1, 2], "each in its turn, however little is wanted"


@pytest.mark.parametrize(("name", "shards"), [("jobs", 0), ("jobs", 257), ("shop{7}", 2)])
def test_shards_that_cannot_be_are_refused(name: str, shards: int) -> None:
    with pytest.raises(ConfigError, match="shard"):
        create_queue(QueueSettings(name=name, shards=shards), "memory://")


@pytest.fixture(params=["memory", "redis"])
def single_url(request: pytest.FixtureRequest) -> str:
    if request.param == "redis":
        return str(request.getfixturevalue("redis_url"))
    return "memory://"


async def test_progress_and_results_are_found_whatever_part_a_job_is_in(
    single_url: str, settings: QueueSettings
) -> None:
    queue, results = create_queue(settings, single_url), create_job_results(settings, single_url)
    await queue.open("tester", ["job"])
    sent = [
        Job(type="job", key=str(n), lane=lane, keep_result_seconds=60)
        for n, lane in enumerate(["", "", "", "", "a", "b", "c", "d", "e", "f"])
    ]
    assert len({shard_of(each, SHARDS) for each in sent}) == SHARDS
    await queue.publish(sent)
    deliveries = await claim(queue, len(sent))
    for each in deliveries:
        await results.report(each, f"half of {each.job.key}")
    seen = [await results.outcome(each.key) for each in sent]
    assert [each and each.progress for each in seen] == [f"half of {each.key}" for each in sent]
    async with asyncio.timeout(30):
        waiting = [asyncio.create_task(results.wait(each.key, 60)) for each in sent]
        settled = [Settlement(each, Done(each.job.key)) for each in deliveries]
        assert not (await queue.exchange(settled, 0)).refused
        done = await asyncio.gather(*waiting)
    assert [each and each.result for each in done] == [each.key for each in sent]
    assert await results.wait("unknown", 0.01) is None
    await results.close()
    await queue.close()


async def test_a_schedule_fires_once_beside_the_jobs_it_must_meet(
    single_url: str, settings: QueueSettings
) -> None:
    queue = create_queue(settings, single_url)
    await queue.open("tester", ["job"])
    stores = [create_schedule_store(settings, single_url) for _ in range(2)]
    plain = [Schedule(name=f"s{n}", job=Job(type="job"), every_seconds=60) for n in range(6)]
    keyed = Schedule(name="keyed", job=Job(type="job", dedup_key="one"), every_seconds=60)
    for each in (*plain, keyed):
        assert await stores[0].announce(each, 120.0) is not None
    assert await queue.publish([Job(type="job", key="waits", dedup_key="one")]) == Published(1)
    for each in (*plain, keyed):
        fired = await asyncio.gather(*(store.fire(each.name, 120.0, each.job) for store in stores))
        assert sorted(fired) == [False, True]
    assert keys(await claim(queue, 10)) == {"waits", *(f"{each.name}@120.0" for each in plain)}
    known = [each.name for each in await stores[0].schedules()]
    assert known == ["keyed", *(each.name for each in plain)]
    assert await stores[0].forget("keyed")
    assert not await stores[0].forget("keyed")
    for closing in (*stores, queue):
        await closing.close()
