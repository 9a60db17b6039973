"""A list that workers of another kind pop too: what ours leave must be where those look."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import redis.asyncio

from shared.queue.port import QueueSettings
from shared.queue.redis.keys import keys_of
from shared.queue.redis.queue import RedisQueue
from shared.redis.client import connect
from shared.verdicts import HandBack, Retry, Settlement
from tests.contracts.queue.harness import job

SETTINGS = QueueSettings(name="jobs")
KEYS = keys_of(SETTINGS.name)
MESSAGES = [b'{"id": "%d", "type": "job"}' % number for number in range(3)]


@pytest.fixture
async def client(any_redis_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    """A hand on the list."""
    made = connect(any_redis_url)
    yield made
    await made.aclose()


@pytest.fixture
async def queue(any_redis_url: str) -> AsyncIterator[RedisQueue]:
    """One consumer."""
    made = RedisQueue(SETTINGS, any_redis_url)
    await made.open("tester", ["job"])
    yield made
    await made.close()


async def inbox(client: redis.asyncio.Redis) -> list[bytes]:
    """Return the inbox, oldest first."""
    return list(reversed(await client.lrange(KEYS.inbox, 0, -1)))


async def test_what_is_handed_back_lies_in_the_inbox_again_as_it_was(
    queue: RedisQueue, client: redis.asyncio.Redis
) -> None:
    await client.lpush(KEYS.inbox, *MESSAGES)
    claimed = (await queue.exchange([], 2)).deliveries
    await queue.exchange([Settlement(each, HandBack()) for each in claimed], 0)
    assert await inbox(client) == MESSAGES
    assert await client.hlen(KEYS.jobs) == 0


async def test_a_late_answer_for_what_was_handed_back_is_refused(
    queue: RedisQueue, client: redis.asyncio.Redis
) -> None:
    await client.lpush(KEYS.inbox, MESSAGES[0])
    (claimed,) = (await queue.exchange([], 1)).deliveries
    await queue.exchange([Settlement(claimed, HandBack())], 0)
    (again,) = (await queue.exchange([], 1)).deliveries
    answer = await queue.exchange([Settlement(claimed, HandBack())], 0)
    assert answer.refused == [claimed.token]
    assert again.token != claimed.token


async def test_a_message_that_cost_an_attempt_keeps_its_count(
    queue: RedisQueue, client: redis.asyncio.Redis
) -> None:
    """In the inbox it would be forgotten, and a job that always fails would never end."""
    await client.lpush(KEYS.inbox, MESSAGES[0])
    (first,) = (await queue.exchange([], 1)).deliveries
    await queue.exchange([Settlement(first, Retry("failed", after=0.0))], 0)
    (second,) = (await queue.exchange([], 1)).deliveries
    await queue.exchange([Settlement(second, HandBack())], 0)
    assert await inbox(client) == []
    (third,) = (await queue.exchange([], 1)).deliveries
    assert third.attempt == 2


async def test_a_published_job_never_goes_to_the_inbox(
    queue: RedisQueue, client: redis.asyncio.Redis
) -> None:
    await queue.publish([job("a")])
    (claimed,) = (await queue.exchange([], 1)).deliveries
    await queue.exchange([Settlement(claimed, HandBack())], 0)
    assert await inbox(client) == []
    assert (await queue.depth()).ready == 1


async def test_a_worker_that_leaves_puts_back_what_its_wake_up_took(
    any_redis_url: str, client: redis.asyncio.Redis
) -> None:
    queue = RedisQueue(SETTINGS, any_redis_url)
    await queue.open("tester", ["job"])
    waiting = asyncio.create_task(queue.wait(10.0))
    await asyncio.wait([waiting], timeout=0.1)
    await client.lpush(KEYS.inbox, *MESSAGES)
    await waiting
    assert await client.llen(KEYS.intake) == 1
    await queue.close()
    assert await client.llen(KEYS.intake) == 0
    assert await inbox(client) == MESSAGES
