"""Generations of epochs in Redis: spent sparingly, and right beyond what Lua itself writes out."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import redis.asyncio

from shared.queue.port import QueueSettings
from shared.queue.redis.admin import RedisQueueAdmin
from shared.queue.redis.keys import keys_of
from shared.queue.redis.queue import RedisQueue
from shared.redis.client import connect
from shared.verdicts import Done, HandBack
from tests.contracts.queue.harness import claim, claim_one, job, keys, settle

SETTINGS = QueueSettings(name="jobs")
GENERATION = f"{keys_of(SETTINGS.name).prefix}generation"
ONE = 100_000
"""Epochs of one generation."""
HIGH = 10**14
"""The first number that Lua by itself writes with an exponent."""


@pytest.fixture
async def client(any_redis_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    """A bare client of either server."""
    client = connect(any_redis_url)
    yield client
    await client.aclose()


@pytest.fixture
async def queue(any_redis_url: str) -> AsyncIterator[RedisQueue]:
    """A consumer on it."""
    queue = RedisQueue(SETTINGS, any_redis_url)
    await queue.open("tester", ["job"])
    yield queue
    await queue.close()


@pytest.fixture
async def admin(any_redis_url: str) -> AsyncIterator[RedisQueueAdmin]:
    """Its administration."""
    admin = RedisQueueAdmin(SETTINGS, any_redis_url)
    yield admin
    await admin.close()


async def test_a_job_of_a_high_generation_is_handed_out_again(
    queue: RedisQueue, client: redis.asyncio.Redis
) -> None:
    await client.set(GENERATION, HIGH)
    await queue.publish([job("a")])
    assert not await settle(queue, await claim_one(queue), HandBack())
    again = await claim_one(queue)
    assert again.token == f"a:{HIGH + 2}:0:0"
    assert not await settle(queue, again, Done())


async def test_members_voided_in_a_high_generation_are_dropped_one_by_one(
    queue: RedisQueue, client: redis.asyncio.Redis, admin: RedisQueueAdmin
) -> None:
    await client.set(GENERATION, HIGH)
    for _ in range(3):
        await queue.publish([job("a")])
        assert await admin.cancel(["a"]) == 1
    await queue.publish([job("b")])
    assert keys(await claim(queue, 1)) == ["b"]


async def test_a_call_that_cancels_many_spends_one_generation(
    queue: RedisQueue, client: redis.asyncio.Redis, admin: RedisQueueAdmin
) -> None:
    await queue.publish([job(str(n)) for n in range(50)])
    await claim(queue, 10)
    assert await admin.cancel([str(n) for n in range(50)]) == 50
    assert int(await client.get(GENERATION)) == ONE


async def test_replacing_many_old_jobs_spends_one_generation(
    queue: RedisQueue, client: redis.asyncio.Redis
) -> None:
    await queue.publish([job(f"old-{n}", dedup=f"d{n}") for n in range(50)])
    await queue.publish([job(f"new-{n}", dedup=f"d{n}", replace=True) for n in range(50)])
    assert int(await client.get(GENERATION)) == ONE
    assert keys(await claim(queue, 100)) == [f"new-{n}" for n in range(50)]


async def test_leases_of_an_older_generation_end_without_another(
    queue: RedisQueue, client: redis.asyncio.Redis
) -> None:
    await queue.publish([job("a"), job("b")])
    first, second = await claim(queue, 2)
    leases = keys_of(SETTINGS.name).leases
    for each in (first, second):
        await client.zadd(leases, {each.token: 1}, xx=True)
        await queue.exchange([], 0)
    assert int(await client.get(GENERATION)) == ONE
