"""Corners of waking up in Redis that need a look inside."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from shared.queue.port import QueueSettings
from shared.queue.redis.admin import RedisQueueAdmin
from shared.queue.redis.keys import keys_of
from shared.queue.redis.queue import RedisQueue
from shared.redis.client import connect
from tests.contracts.queue.harness import claim, job, keys

SETTINGS = QueueSettings(name="jobs")


@pytest.fixture(autouse=True)
def _no_looking(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the idle look, nothing but wake-ups ends a wait."""
    monkeypatch.setattr("shared.queue.redis.queue.IDLE_LOOK_SECONDS", 60.0)


@pytest.fixture
async def consumers(any_redis_url: str) -> AsyncIterator[tuple[RedisQueue, RedisQueue]]:
    """Two consumers of one queue."""
    made = RedisQueue(SETTINGS, any_redis_url), RedisQueue(SETTINGS, any_redis_url)
    for queue in made:
        await queue.open("tester", ["job"])
    yield made
    for queue in made:
        await queue.close()


async def asleep(queue: RedisQueue) -> asyncio.Task[None]:
    """Start to wait, and return when the server surely knows."""
    task = asyncio.create_task(queue.wait(60.0))
    await asyncio.wait([task], timeout=0.1)
    assert not task.done()
    return task


async def test_a_wake_up_that_is_cancelled_as_it_comes_goes_to_another(
    consumers: tuple[RedisQueue, RedisQueue],
) -> None:
    first, second = consumers
    cancelled, waiting = await asleep(first), await asleep(second)
    first._wake_up._woken.set()
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    await asyncio.wait_for(waiting, 10)


async def test_what_comes_after_a_cancelled_wait_goes_to_another(
    consumers: tuple[RedisQueue, RedisQueue], any_redis_url: str
) -> None:
    """The blocking commands outlive their wait: the message and the token they get do not."""
    first, second = consumers
    cancelled = await asleep(first)
    cancelled.cancel()
    await asyncio.wait([cancelled])
    for number in range(3):
        waiting = await asleep(second)
        client = connect(any_redis_url)
        await client.lpush(SETTINGS.name, b'{"type":"job","id":"%d"}' % number)
        await client.aclose()
        await asyncio.wait_for(waiting, 10)
        assert [each.job.id for each in await claim(second)] == [str(number)]


async def test_tokens_do_not_pile_up(
    consumers: tuple[RedisQueue, RedisQueue], any_redis_url: str
) -> None:
    first, _ = consumers
    for _ in range(50):
        await first.publish([job(), job()])
        await claim(first, 1)
    client = connect(any_redis_url)
    assert await client.llen(keys_of(SETTINGS.name).wake) == 1
    await client.aclose()


async def test_a_message_that_was_moved_for_a_killed_worker_is_not_lost(
    consumers: tuple[RedisQueue, RedisQueue], any_redis_url: str
) -> None:
    client = connect(any_redis_url)
    names = keys_of(SETTINGS.name)
    await client.lpush(names.inbox, b'{"type":"job","id":"1"}', b'{"type":"job","id":"2"}')
    await client.lmove(names.inbox, names.intake, src="RIGHT", dest="LEFT")
    await client.aclose()
    assert (await consumers[0].depth()).inbox == 2
    assert [each.job.id for each in await claim(consumers[0])] == ["1", "2"]
    assert keys(await claim(consumers[1])) == []


async def test_a_paused_queue_is_woken_by_its_resume_and_not_by_its_inbox(
    consumers: tuple[RedisQueue, RedisQueue], any_redis_url: str
) -> None:
    first, _ = consumers
    admin, client = RedisQueueAdmin(SETTINGS, any_redis_url), connect(any_redis_url)
    await admin.pause()
    await client.lpush("jobs", *[b'{"type": "job"}'] * 50)
    for queue in consumers:
        assert (await queue.exchange([], 10)).next_due_seconds is None
    await first.wait(10)  # the pause itself wakes somebody
    waiting = [await asleep(queue) for queue in consumers]
    assert await client.llen("jobs") == 50, "nobody moves what nobody may claim"
    await admin.resume()
    done, _ = await asyncio.wait(waiting, timeout=10, return_when=asyncio.FIRST_COMPLETED)
    assert done
    assert len(await claim(first, 10)) == 10, "and leaves work, so the other is woken too"
    await asyncio.wait_for(asyncio.gather(*waiting), 10)
    await admin.close()
    await client.aclose()


async def test_who_is_unblocked_by_a_failover_waits_on(
    consumers: tuple[RedisQueue, RedisQueue], any_redis_url: str
) -> None:
    """A server that becomes a replica ends its blocked commands with an error."""
    first, second = consumers
    waiting = await asleep(first)
    client = connect(any_redis_url)
    blocked = [each for each in await client.client_list() if each["cmd"] in ("blpop", "blmove")]
    assert blocked
    for each in blocked:
        await client.client_unblock(int(each["id"]), error=True)
    await client.aclose()

    await second.publish([job("a")])
    await asyncio.wait_for(waiting, 10)
