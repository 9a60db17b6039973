"""A call whose answer is lost is repeated, and does no harm."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from shared.errors import ConnectionLostError, DependencyError
from shared.queue.port import Published, QueueSettings
from shared.queue.redis.keys import keys_of
from shared.queue.redis.queue import RedisQueue
from shared.redis.client import connect
from shared.verdicts import Done, Retry, Settlement
from tests.contracts.queue.harness import claim, claim_one, job, keys, settle
from tests.integration.queue_proxy import CuttingProxy

NAME = "cut-jobs"
SETTINGS = QueueSettings(name=NAME)


@pytest.fixture
async def proxy(any_redis_url: str) -> AsyncIterator[CuttingProxy]:
    """A proxy that cuts when told to."""
    async with CuttingProxy(any_redis_url) as proxy:
        yield proxy


@pytest.fixture
async def queue(proxy: CuttingProxy) -> AsyncIterator[RedisQueue]:
    """A consumer behind the proxy."""
    queue = RedisQueue(SETTINGS, proxy.url)
    await queue.open("tester", ["job"])
    yield queue
    await queue.close()


@pytest.fixture
async def other(any_redis_url: str) -> AsyncIterator[RedisQueue]:
    """A consumer with a sound connection."""
    queue = RedisQueue(SETTINGS, any_redis_url)
    await queue.open("tester", ["job"])
    yield queue
    await queue.close()


async def test_a_repeated_exchange_returns_the_same_deliveries_and_refuses_nothing(
    queue: RedisQueue, other: RedisQueue, proxy: CuttingProxy
) -> None:
    await queue.publish([job(key) for key in "abcde"])
    first, second = await claim(queue, 2)
    settled = [Settlement(first, Done()), Settlement(second, Retry("again", 3600.0))]
    proxy.cuts = 2
    for _ in range(2):
        with pytest.raises(ConnectionLostError):
            await queue.exchange(settled, 2)
    assert keys(await claim(other)) == ["e"], "the cut call was carried out, once"

    answer = await queue.exchange(settled, 2)

    assert keys(answer.deliveries) == ["c", "d"]
    assert not answer.refused
    depth = await other.depth()
    assert (depth.ready, depth.delayed, depth.leased) == (0, 1, 3)
    assert not (await queue.exchange([Settlement(d, Done()) for d in answer.deliveries], 0)).refused


async def test_the_lease_counts_from_the_first_sending(
    queue: RedisQueue, proxy: CuttingProxy
) -> None:
    await queue.publish([job("a")])
    proxy.cuts = 1
    before = asyncio.get_running_loop().time()
    with pytest.raises(ConnectionLostError):
        await queue.exchange([], 1)
    between = asyncio.get_running_loop().time()
    (delivery,) = (await queue.exchange([], 1)).deliveries
    assert before <= delivery.lease_until - SETTINGS.lease_seconds <= between


async def test_a_refusal_is_told_by_the_repeated_call_too(
    queue: RedisQueue, other: RedisQueue, proxy: CuttingProxy
) -> None:
    await queue.publish([job("a")])
    delivery = await claim_one(queue)
    await settle(queue, delivery, Done())
    proxy.cuts = 1
    settled = [Settlement(delivery, Done())]
    with pytest.raises(ConnectionLostError):
        await queue.exchange(settled, 0)
    assert list((await queue.exchange(settled, 0)).refused) == [delivery.token]


async def test_deliveries_of_an_abandoned_call_are_given_back(
    queue: RedisQueue, other: RedisQueue, proxy: CuttingProxy
) -> None:
    await queue.publish([job(key) for key in "abc"])
    held = await claim_one(queue)
    proxy.cuts = 1
    with pytest.raises(ConnectionLostError):
        await queue.exchange([Settlement(held, Done())], 2)

    answer = await queue.exchange([Settlement(held, Done())], 0)

    assert not answer.refused, "it had been accepted by the call that was cut"
    assert [(d.job.key, d.crashes) for d in await claim(other)] == [("b", 0), ("c", 0)]


async def test_what_was_lost_meanwhile_is_left_out_of_the_repeated_answer(
    queue: RedisQueue, other: RedisQueue, proxy: CuttingProxy, any_redis_url: str
) -> None:
    await queue.publish([job("a"), job("b")])
    proxy.cuts = 1
    with pytest.raises(ConnectionLostError):
        await queue.exchange([], 2)
    client = connect(any_redis_url)
    await client.zadd(keys_of(NAME).leases, {"a:1:0:0": 0})
    await client.aclose()
    assert keys(await claim(other)) == ["a"]
    assert keys(await claim(queue, 2)) == ["b"]


async def test_a_cancelled_exchange_leaves_the_conversation_in_step(
    queue: RedisQueue, other: RedisQueue
) -> None:
    sent = [str(n) for n in range(200)]
    await queue.publish([job(key) for key in sent])
    got: list[str] = []
    for pause in range(40):
        task = asyncio.create_task(queue.exchange([], 2))
        for _ in range(pause % 8):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            got += keys(task.result().deliveries)
        answer = await queue.exchange([], 3)
        got += keys(answer.deliveries)
    while deliveries := await claim(other, 50):
        got += keys(deliveries)
    assert sorted(got) == sorted(sent), "each job was handed out exactly once"


async def test_a_repeated_publish_stores_nothing_twice(
    queue: RedisQueue, other: RedisQueue, proxy: CuttingProxy
) -> None:
    jobs = [job("a"), job("b", dedup="doc-1"), job("c", delay=3600.0)]
    proxy.cuts = 1
    with pytest.raises(ConnectionLostError):
        await queue.publish(jobs)
    assert await queue.publish(jobs) == Published(0, 3)
    depth = await other.depth()
    assert (depth.ready, depth.delayed) == (2, 1)


async def test_a_call_that_arrives_after_a_later_one_is_without_effect(
    queue: RedisQueue, proxy: CuttingProxy
) -> None:
    """A broken connection may still deliver its bytes to the server, long after the repeat."""
    exchanger = queue._exchanger
    assert exchanger is not None
    await queue.publish([job(key) for key in "abc"])
    proxy.cuts = 1
    with pytest.raises(ConnectionLostError):
        await queue.exchange([], 1)
    ghost = exchanger._unanswered
    assert ghost is not None
    await queue.exchange([], 1)
    await claim_one(queue)
    with pytest.raises(DependencyError, match="STALE"):
        await exchanger._send(ghost)
    assert (await queue.depth()).ready == 1


async def test_cuts_at_random_lose_and_double_nothing(
    queue: RedisQueue, proxy: CuttingProxy
) -> None:
    sent = [str(n) for n in range(300)]
    await queue.publish([job(key) for key in sent])
    done: list[str] = []
    settled: list[Settlement] = []
    for turn in range(400):
        proxy.cuts = turn % 3
        while True:
            try:
                answer = await queue.exchange(settled, 4)
                break
            except ConnectionLostError:
                continue
        assert not answer.refused
        done += keys([each.delivery for each in settled])
        settled = [Settlement(each, Done()) for each in answer.deliveries]
        if not settled and len(done) == len(sent):
            break
    assert sorted(done) == sorted(sent)
    assert (await queue.depth()).leased == 0
