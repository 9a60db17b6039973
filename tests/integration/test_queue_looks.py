"""A wake-up brings its job along, and whoever does not come for it loses nothing."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from shared.errors import ConnectionLostError
from shared.jobs import Delivery
from shared.queue.port import LaneLimits, QueueSettings
from shared.queue.redis.admin import RedisQueueAdmin
from shared.queue.redis.keys import keys_of
from shared.queue.redis.queue import RedisQueue
from shared.redis.client import connect
from shared.redis.line import Line
from shared.verdicts import Done, Settlement
from tests.contracts.queue.harness import claim, claim_one, job, keys
from tests.faults.proxy import Proxy

SETTINGS = QueueSettings(name="looks")
PROMPT = 10.0
"""Seconds, on a busy machine; far less than a lease."""


@pytest.fixture(autouse=True)
def _one_block(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test may owe its end to a blocking command that has just timed out."""
    monkeypatch.setattr("shared.queue.redis.wake_up.BLOCK_SECONDS", 14)


@pytest.fixture
async def proxy(any_redis_url: str) -> AsyncIterator[Proxy]:
    """A proxy before the server."""
    async with Proxy(any_redis_url) as proxy:
        yield proxy


@pytest.fixture
async def queue(proxy: Proxy) -> AsyncIterator[RedisQueue]:
    """A consumer behind the proxy."""
    queue = RedisQueue(SETTINGS, proxy.url)
    await queue.open("tester", ["job"])
    yield queue
    proxy.flow()
    await queue.close()


@pytest.fixture
async def other(any_redis_url: str) -> AsyncIterator[RedisQueue]:
    """A consumer with a sound connection."""
    queue = RedisQueue(SETTINGS, any_redis_url)
    await queue.open("tester", ["job"])
    yield queue
    await queue.close()


@pytest.fixture
async def client(any_redis_url: str) -> AsyncIterator[Any]:
    """What another program has."""
    client = connect(any_redis_url)
    yield client
    await client.aclose()


async def waiting(queue: RedisQueue) -> asyncio.Task[None]:
    """Begin to wait as a pool does: after an exchange that left a wish."""
    assert not await claim(queue, 10)
    return asyncio.create_task(queue.wait(60.0))


async def next_of(queue: RedisQueue) -> Delivery:
    """Wait and claim until there is a job, as a pool does."""
    async with asyncio.timeout(PROMPT):
        while not (found := await claim(queue, 1)):
            await queue.wait(60.0)
    return found[0]


async def carried_out(queue: RedisQueue, client: Any) -> None:
    """Let the server carry out a look whose answer is never heard."""
    assert queue._exchanger is not None
    look = queue._exchanger.look()
    assert look is not None
    await client.execute_command(*look[1])


def untouched(delivery: Delivery) -> tuple[str, int, int]:
    """Return what shows that nobody has worked on a job, nor died with it."""
    return delivery.job.key, delivery.attempt, delivery.crashes


@pytest.mark.parametrize("way", ["publish", "push"])
async def test_a_wake_up_brings_its_job_along(
    queue: RedisQueue, other: RedisQueue, proxy: Proxy, client: Any, way: str
) -> None:
    task = await waiting(queue)
    if way == "publish":
        await other.publish([job("a")])
    else:
        await client.lpush(SETTINGS.name, b'{"type":"job","id":"a"}')
    async with asyncio.timeout(PROMPT):
        await task
    proxy.stall()
    async with asyncio.timeout(PROMPT):
        assert len(await claim(queue, 10)) == 1, "without another word with the server"


async def test_where_more_waits_the_next_exchange_claims_all_of_it(
    queue: RedisQueue, other: RedisQueue
) -> None:
    task = await waiting(queue)
    await other.publish([job(key) for key in "abc"])
    async with asyncio.timeout(PROMPT):
        await task
    assert keys(await claim(queue, 10)) == ["a", "b", "c"]


@pytest.mark.parametrize("want", [0, 5])
async def test_a_settlement_takes_no_notice_of_a_job_that_came_along(
    queue: RedisQueue, other: RedisQueue, want: int
) -> None:
    await other.publish([job("held")])
    held = await claim_one(queue)
    task = await waiting(queue)
    await other.publish([job("a")])
    async with asyncio.timeout(PROMPT):
        await task
    answer = await queue.exchange([Settlement(held, Done())], want)
    assert not answer.refused
    assert keys(answer.deliveries) == ["a"][:want], "what is not wanted is not handed out"
    if not want:
        assert untouched(await next_of(other)) == ("a", 1, 0)
    assert (await other.depth()).leased == 1


async def test_a_job_that_comes_after_its_wait_was_cancelled_goes_to_another(
    queue: RedisQueue, other: RedisQueue
) -> None:
    task = await waiting(queue)
    await asyncio.wait([task], timeout=0.1)
    task.cancel()
    await asyncio.wait([task])
    await other.publish([job("a")])
    assert untouched(await next_of(other)) == ("a", 1, 0)


async def test_a_job_that_nobody_asks_for_goes_to_another(
    queue: RedisQueue, other: RedisQueue
) -> None:
    """A pool may have stopped to want anything when it wakes: a suspect fills it alone."""
    task = await waiting(queue)
    await other.publish([job("a")])
    async with asyncio.timeout(PROMPT):
        await task
    assert untouched(await next_of(other)) == ("a", 1, 0)


async def test_a_job_whose_answer_was_lost_is_in_the_next(
    queue: RedisQueue, other: RedisQueue, client: Any
) -> None:
    assert not await claim(queue, 10)
    await other.publish([job("a"), job("b")])
    await carried_out(queue, client)
    assert [untouched(each) for each in await claim(queue, 1)] == [("a", 1, 0)]
    assert keys(await claim(queue, 10)) == ["b"]


async def test_a_job_that_comes_along_while_a_lost_call_is_repeated_is_handed_out_once(
    queue: RedisQueue, other: RedisQueue, proxy: Proxy, client: Any
) -> None:
    assert not await claim(queue, 10)
    assert queue._exchanger is not None
    look = queue._exchanger.look()
    assert look is not None
    await other.publish([job("a")])
    proxy.drop_answer = lambda request, _: b"EVAL" in request
    with pytest.raises(ConnectionLostError):
        await queue.exchange([], 10)
    proxy.drop_answer = lambda *_: False
    queue._exchanger.looked(look[0], await client.execute_command(*look[1]))
    assert [*keys(await claim(queue, 10)), *keys(await claim(queue, 10))] == ["a"]


@pytest.mark.parametrize("way", ["settle", "close"])
async def test_a_job_whose_answer_was_lost_goes_back_when_its_worker_goes_on(
    queue: RedisQueue, other: RedisQueue, client: Any, way: str
) -> None:
    await other.publish([job("held")])
    held = await claim_one(queue)
    assert not await claim(queue, 10)
    await other.publish([job("a"), job("b")])
    await carried_out(queue, client)
    if way == "settle":
        await queue.exchange([Settlement(held, Done())], 0)
    else:
        await queue.close()
    assert [untouched(each) for each in await claim(other, 10)] == [("a", 1, 0), ("b", 1, 0)]


@pytest.mark.parametrize("way", ["settle", "close"])
async def test_a_look_that_comes_too_late_finds_nothing(
    queue: RedisQueue, other: RedisQueue, client: Any, way: str
) -> None:
    await other.publish([job("held")])
    held = await claim_one(queue)
    assert not await claim(queue, 10)
    assert queue._exchanger is not None
    look = queue._exchanger.look()
    assert look is not None
    if way == "settle":
        await queue.exchange([Settlement(held, Done())], 0)
    else:
        await queue.close()
    await other.publish([job("a")])
    with pytest.raises(ResponseError, match="STALE"):
        await client.execute_command(*look[1])
    assert (await other.depth()).ready == 1


async def test_a_connection_that_breaks_under_a_job_keeps_it_from_nobody(
    queue: RedisQueue, other: RedisQueue, proxy: Proxy
) -> None:
    cuts = iter([True])

    def cut_once(request: bytes, answer: bytes) -> bool:
        return b"BLPOP" in request and b"looks" in answer and next(cuts, False)

    proxy.drop_answer = cut_once
    task = asyncio.create_task(next_of(queue))
    await asyncio.wait([task], timeout=0.1)
    await other.publish([job("a")])
    assert untouched(await task) == ("a", 1, 0)


async def test_a_paused_queue_lets_no_look_find_anything(
    queue: RedisQueue, other: RedisQueue, any_redis_url: str
) -> None:
    admin = RedisQueueAdmin(SETTINGS, any_redis_url)
    task = await waiting(queue)
    await admin.pause()
    await admin.close()
    await other.publish([job("a")])
    async with asyncio.timeout(PROMPT):
        await task
    assert not await claim(queue, 10)
    assert (await other.depth()).leased == 0


async def test_an_idle_worker_does_not_bring_back_limits_that_others_have_changed(
    any_redis_url: str, client: Any
) -> None:
    """Only its first call tells its limits, and a call that does nothing is sent again."""
    told = []
    consumers = []
    for cap in (1, 2):
        limits = {"tenant": LaneLimits(max_running=cap)}
        consumers.append(RedisQueue(QueueSettings(name="looks", lane_limits=limits), any_redis_url))
        await consumers[-1].open("tester", ["job"])
    for number in (0, 1, 0):
        await consumers[number].exchange([], 1)
        told.append(await client.get(f"{keys_of('looks').prefix}lanes:limits"))
    for each in consumers:
        await each.close()
    assert told[0] != told[1] == told[2]


async def test_a_line_whose_keys_have_moved_is_lost_and_finds_their_node(
    redis_cluster_url: str,
) -> None:
    nodes: Any = connect(redis_cluster_url)
    await nodes.initialize()
    home = nodes.get_node_from_key("looks")
    away = next(node for node in nodes.get_primaries() if node is not home)
    line = Line(nodes, "looks")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nodes, "get_node_from_key", lambda _: away)
        with pytest.raises(RedisConnectionError, match="another node"):
            await line.ask(["LLEN", "looks"], ["LLEN", "looks"])
    assert await line.ask(["LLEN", "looks"], ["LLEN", "looks"]) == [0, 0]
    await line.close()
    await nodes.aclose()


async def test_waits_and_cuts_at_random_lose_and_double_nothing(
    any_redis_url: str, other: RedisQueue
) -> None:
    chance = random.Random(5)
    sent = [str(number) for number in range(120)]
    done: list[tuple[str, int, int]] = []

    async def work() -> None:
        async with Proxy(any_redis_url) as proxy:
            queue = RedisQueue(SETTINGS, proxy.url)
            await queue.open("tester", ["job"])
            proxy.drop_answer = lambda request, _: b"EVAL" in request and chance.random() < 0.2
            settled: list[Settlement] = []
            while settled or len(done) < len(sent):
                want = chance.randrange(4)
                while True:
                    try:
                        answer = await queue.exchange(settled, want)
                        break
                    except ConnectionLostError:
                        continue
                assert not answer.refused
                done.extend(untouched(each.delivery) for each in settled)
                settled = [Settlement(each, Done()) for each in answer.deliveries]
                if not settled:
                    await queue.wait(chance.random() / 20)
            proxy.drop_answer = lambda *_: False
            await queue.close()

    async def publish() -> None:
        for key in sent:
            await other.publish([job(key)])
            await asyncio.sleep(chance.random() / 200)

    async with asyncio.timeout(30):
        await asyncio.gather(work(), work(), publish())
    assert sorted(done) == sorted((key, 1, 0) for key in sent)
    assert (await other.depth()).leased == 0
