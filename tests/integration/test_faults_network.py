"""A worker whose connections are cut, reset, refused, silent or slow loses nothing and goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from shared.errors import ConnectionLostError
from shared.queue.port import Published, Queue, QueueDepth, QueueSettings
from shared.queue.redis.queue import RedisQueue
from shared.redis import client
from shared.redis.client import connect
from tests.contracts.queue.harness import job, keys
from tests.faults.proxy import Proxy
from tests.integration.counting_pool import Counting, numbers, pool_on

SETTINGS = QueueSettings(name="numbers", lease_seconds=5.0)
JOBS = 300
Break = Callable[[Proxy], Awaitable[None]]


@pytest.fixture
async def proxy(redis_url: str) -> AsyncIterator[Proxy]:
    """A proxy before an empty Redis."""
    async with Proxy(redis_url) as proxy:
        yield proxy


@pytest.fixture
async def producer(redis_url: str) -> AsyncIterator[Queue]:
    """A producer with a sound connection."""
    queue = RedisQueue(SETTINGS, redis_url)
    yield queue
    await queue.close()


async def _cut(proxy: Proxy) -> None:
    await proxy.cut()


async def _reset(proxy: Proxy) -> None:
    await proxy.reset()


async def _away_for_a_while(proxy: Proxy) -> None:
    await proxy.refuse()
    await proxy.reset()
    await asyncio.sleep(0.3)
    await proxy.accept()


@pytest.mark.parametrize("broken", [_cut, _reset, _away_for_a_while])
async def test_reconnect_dead(proxy: Proxy, producer: Queue, broken: Break) -> None:
    """Again and again, at work and while it waits for work."""
    counting = Counting(lambda _: asyncio.sleep(0.005))
    async with pool_on(RedisQueue(SETTINGS, proxy.url), counting):
        for turn in range(2):
            await producer.publish(numbers(*range(turn * JOBS, (turn + 1) * JOBS)))
            await counting.reaches(turn * JOBS + JOBS // 2)
            await broken(proxy)
            await counting.reaches((turn + 1) * JOBS)
            await broken(proxy)
    assert set(counting.ran) == set(range(2 * JOBS))
    assert counting.ran.total() == 2 * JOBS, "a repeated call claims nothing twice"
    depth = await producer.depth()
    assert (depth.ready, depth.leased, depth.dead) == (0, 0, 0)


async def test_half_open_connection(
    proxy: Proxy, producer: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Connections that died without a word are given up at the answer timeout, every one."""
    monkeypatch.setitem(client._OPTIONS, "socket_timeout", 1.0)
    monkeypatch.setattr("shared.queue.redis.wake_up.BLOCK_SECONDS", 0.2)
    counting = Counting(lambda _: asyncio.sleep(0.005))
    async with pool_on(RedisQueue(SETTINGS, proxy.url), counting):
        await producer.publish(numbers(*range(JOBS)))
        await counting.reaches(JOBS // 2)
        proxy.abandon()
        await counting.reaches(JOBS)
    assert counting.ran.total() == JOBS


async def test_a_publish_into_a_silent_connection_fails_loudly(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(client._OPTIONS, "socket_timeout", 1.0)
    queue = RedisQueue(SETTINGS, proxy.url)
    await queue.publish(numbers(1))
    proxy.stall()
    with pytest.raises(ConnectionLostError):
        await queue.publish(numbers(2))
    await proxy.reset()
    proxy.flow()
    assert await queue.publish(numbers(2)) == Published(1)
    await queue.close()


async def test_a_slow_network_costs_time_and_nothing_else(proxy: Proxy, producer: Queue) -> None:
    proxy.latency_seconds = 0.02
    counting = Counting()
    async with pool_on(RedisQueue(SETTINGS, proxy.url), counting):
        await producer.publish(numbers(*range(JOBS)))
        await counting.reaches(JOBS)
    assert counting.ran.total() == JOBS


async def test_client_corruption_on_cancel(proxy: Proxy) -> None:
    """A command that is cancelled between its request and its answer shifts no later answer."""
    proxy.latency_seconds = 0.002
    queue = RedisQueue(SETTINGS, proxy.url)
    await queue.open("tester", ["job"])
    published = 0
    for pause in range(60):
        cancelled = [
            asyncio.create_task(queue.depth()),
            asyncio.create_task(queue.incarnation()),
            asyncio.create_task(queue.wait(0.01)),
        ]
        await asyncio.sleep(0.0002 * pause)
        for task in cancelled:
            task.cancel()
        await asyncio.wait(cancelled)
        published += 1
        assert await queue.publish([job(f"job-{pause}")]) == Published(1)
        depth = await queue.depth()
        assert isinstance(depth, QueueDepth)
        assert depth.ready == published
        assert "-" in await queue.incarnation()
    assert len(keys((await queue.exchange([], 1000)).deliveries)) == published
    await queue.close()


async def test_pool_limits_many_slots_need_few_connections(redis_url: str, producer: Queue) -> None:
    """One connection a conversation, one each for what blocks, one for the lease keeper."""
    counting = Counting(lambda _: asyncio.sleep(0.05))
    admin = connect(redis_url)
    idle = len(await admin.client_list())
    async with pool_on(RedisQueue(SETTINGS, redis_url), counting, slots=500):
        await producer.publish(numbers(*range(2000)))
        await counting.reaches(1000)
        used = len(await admin.client_list()) - idle
        await counting.reaches(2000)
    await admin.aclose()
    assert used <= 6
