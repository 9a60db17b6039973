"""Servers that restart, forget, refuse, fill up, or are not there."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator

import pytest
import redis.asyncio

from shared.errors import ConnectionLostError, DependencyError, QueueConflictError
from shared.queue.port import QueueSettings
from shared.queue.redis.keys import keys_of
from shared.queue.redis.queue import RedisQueue
from shared.redis.client import connect
from shared.redis.server import check_server
from shared.verdicts import Done, Settlement
from tests.contracts.queue.harness import claim, claim_one, job, keys, settle
from tests.services.servers import Redis

SETTINGS = QueueSettings(name="jobs", lease_seconds=2.0)
SECRET = "canary-hunter2"


@pytest.fixture
async def client(valkey_server: Redis) -> AsyncIterator[redis.asyncio.Redis]:
    """A bare client of the private server."""
    client = connect(valkey_server.url)
    yield client
    await client.aclose()


@pytest.fixture
async def queue(valkey_server: Redis) -> AsyncIterator[RedisQueue]:
    """A consumer on the private server."""
    queue = RedisQueue(SETTINGS, valkey_server.url)
    await queue.open("tester", ["job"])
    yield queue
    await queue.close()


async def claim_again(queue: RedisQueue, want: int) -> list[str]:
    """Claim, repeating the call while the server is away."""
    while True:
        try:
            return keys(await claim(queue, want))
        except ConnectionLostError:
            await queue.wait(0.05)


@pytest.mark.parametrize("how", ["stop", "kill"])
async def test_a_restarted_server_has_everything_and_the_consumer_goes_on(
    queue: RedisQueue, valkey_server: Redis, how: str
) -> None:
    await queue.publish([job(key) for key in "abcd"])
    held = await claim_one(queue)
    getattr(valkey_server, how)()
    with pytest.raises(ConnectionLostError):
        await claim(queue, 1)
    valkey_server.start()
    assert await claim_again(queue, 1) == ["b"]
    assert not await settle(queue, held, Done())
    assert await claim_again(queue, 5) == ["c", "d"]


async def test_a_server_that_forgot_the_scripts_gets_them_again(
    queue: RedisQueue, client: redis.asyncio.Redis
) -> None:
    await queue.publish([job("a")])
    await client.script_flush()
    delivery = await claim_one(queue)
    await client.script_flush()
    assert not await settle(queue, delivery, Done())


async def test_a_waiting_consumer_survives_a_restart(
    queue: RedisQueue, valkey_server: Redis
) -> None:
    async def next_key() -> str:
        while True:
            found = await claim_again(queue, 1)
            if found:
                return found[0]
            await queue.wait(30.0)

    task = asyncio.create_task(next_key())
    await asyncio.wait([task], timeout=0.2)
    await asyncio.to_thread(valkey_server.restart)
    producer = RedisQueue(SETTINGS, valkey_server.url)
    await producer.publish([job("a")])
    assert await asyncio.wait_for(task, 25) == "a"
    await producer.close()


async def until_renewed(url: str, token: str) -> None:
    """Return once this lease ends later than it did before."""
    client, leases = connect(url), keys_of(SETTINGS.name).leases
    before = await client.zscore(leases, token)
    async with asyncio.timeout(10):
        while await client.zscore(leases, token) == before:
            await asyncio.sleep(0.02)
    await client.aclose()


async def test_the_lease_keeper_survives_a_restart(
    queue: RedisQueue, valkey_server: Redis, capfd: pytest.CaptureFixture[str]
) -> None:
    await queue.publish([job("a")])
    token = (await claim_one(queue)).token
    lost: list[str] = []
    keeper = queue.lease_keeper()
    keeper.start({token: time.monotonic() + 60}, lost.extend)
    await until_renewed(valkey_server.url, token)
    valkey_server.stop()
    async with asyncio.timeout(10):
        while "leases_not_renewed" not in capfd.readouterr().err:
            await asyncio.sleep(0.02)
    valkey_server.start()
    await until_renewed(valkey_server.url, token)
    keeper.stop()
    assert not lost


async def test_another_life_of_the_data_has_another_name(
    queue: RedisQueue, client: redis.asyncio.Redis
) -> None:
    before = await queue.incarnation()
    await client.flushall()
    assert await queue.incarnation() != before


async def test_a_dead_worker_does_not_block_its_queue_for_ever(
    queue: RedisQueue, valkey_server: Redis, client: redis.asyncio.Redis
) -> None:
    newcomer = RedisQueue(SETTINGS, valkey_server.url)
    with pytest.raises(QueueConflictError):
        await newcomer.open("other-kind", ["job"])
    alive = keys_of(SETTINGS.name).alive
    ((consumer, until),) = await client.zrange(alive, 0, -1, withscores=True)
    assert 0 < until / 1000 - time.time() <= 11
    await client.zadd(alive, {consumer: 1})
    await newcomer.open("other-kind", ["job"])
    await newcomer.close()


async def test_work_keeps_a_worker_registered(
    queue: RedisQueue, client: redis.asyncio.Redis
) -> None:
    alive = keys_of(SETTINGS.name).alive
    (consumer,) = await client.zrange(alive, 0, -1)
    await client.zadd(alive, {consumer: 1})
    await claim(queue, 0)
    assert await client.zscore(alive, consumer) > time.time() * 1000


async def test_a_server_that_may_evict_is_refused(
    valkey_server: Redis, client: redis.asyncio.Redis
) -> None:
    await client.config_set("maxmemory-policy", "allkeys-lru")
    queue = RedisQueue(SETTINGS, valkey_server.url)
    with pytest.raises(DependencyError, match=r"maxmemory-policy is allkeys-lru.*noeviction"):
        await queue.open("tester", ["job"])
    daring = RedisQueue(SETTINGS, valkey_server.url, allow_eviction=True)
    await daring.open("tester", ["job"])
    await daring.close()
    await queue.close()


async def test_the_servers_durability_is_known(client: redis.asyncio.Redis) -> None:
    state = await check_server(client)
    assert (state.append_only, state.eviction_policy) == (True, "noeviction")
    await client.config_set("appendonly", "no")
    assert not (await check_server(client)).append_only


async def test_a_user_without_config_and_keys_is_enough(
    valkey_server: Redis, client: redis.asyncio.Redis
) -> None:
    await client.execute_command(
        *("ACL", "SETUSER", "worker", "on", f">{SECRET}", "~*", "+@all", "-config", "-keys")
    )
    queue = RedisQueue(SETTINGS, valkey_server.url.replace("://", f"://worker:{SECRET}@"))
    await queue.open("tester", ["job"])
    await queue.publish([job("a")])
    await queue.wait(0.1)
    assert keys(await claim(queue)) == ["a"]
    await queue.close()


async def test_a_wrong_password_is_a_dependency_error_without_the_password(
    valkey_server: Redis,
) -> None:
    queue = RedisQueue(SETTINGS, valkey_server.url.replace("://", f"://nobody:{SECRET}@"))
    with pytest.raises(DependencyError, match="refused the login") as caught:
        await queue.open("tester", ["job"])
    assert SECRET not in _all_words(caught.value)
    await queue.close()


async def test_a_missing_server_is_a_dependency_error_with_its_address(
    valkey_server: Redis,
) -> None:
    valkey_server.stop()
    queue = RedisQueue(SETTINGS, valkey_server.url.replace("://", f"://:{SECRET}@"))
    with pytest.raises(DependencyError, match=f"127.0.0.1:{valkey_server.port}") as caught:
        await queue.open("tester", ["job"])
    assert SECRET not in _all_words(caught.value)
    with pytest.raises(ConnectionLostError):
        await queue.publish([job()])
    await queue.close()


async def test_a_full_server_takes_no_jobs_but_lets_its_work_be_finished(
    queue: RedisQueue, client: redis.asyncio.Redis
) -> None:
    await queue.publish([job(str(n), payload=b"x" * 1000) for n in range(50)])
    held = list(await claim(queue, 10))
    await client.config_set("maxmemory", "1mb")
    with pytest.raises(ConnectionLostError, match="no memory left"):
        await queue.publish([job("one more")])
    done: list[str] = []
    while held:
        answer = await queue.exchange([Settlement(each, Done()) for each in held], 10)
        assert not answer.refused
        done += keys(held)
        held = list(answer.deliveries)
    assert len(done) == 50


async def test_a_full_server_neither_ends_an_idle_worker_nor_takes_its_leases(
    queue: RedisQueue, valkey_server: Redis, client: redis.asyncio.Redis
) -> None:
    await queue.publish([job("a")])
    held = await claim_one(queue)
    await client.config_set("maxmemory", "1mb")
    keeper = queue.lease_keeper()
    keeper.start({held.token: float("inf")}, lambda _: None)
    try:
        until = time.monotonic() + 1.5 * SETTINGS.lease_seconds
        while time.monotonic() < until:
            assert not (await queue.exchange([], 1)).deliveries
            await queue.wait(0.1)
    finally:
        await asyncio.to_thread(keeper.stop)
    assert not await settle(queue, held, Done())
    another = RedisQueue(SETTINGS, valkey_server.url)
    await another.open("tester", ["job"])
    await another.close()


async def test_a_server_that_hangs_does_not_hold_up_the_end(valkey_server: Redis) -> None:
    queue = RedisQueue(SETTINGS, valkey_server.url)
    await queue.open("tester", ["job"])
    assert valkey_server.pid is not None
    os.kill(valkey_server.pid, signal.SIGSTOP)
    try:
        async with asyncio.timeout(20):
            await queue.close()
    finally:
        os.kill(valkey_server.pid, signal.SIGCONT)


async def test_the_last_answer_of_a_dead_consumer_is_forgotten(
    queue: RedisQueue, client: redis.asyncio.Redis
) -> None:
    await queue.publish([job("a")])
    await claim(queue)
    (answer,) = [key async for key in client.scan_iter(match="{jobs}:answer:*")]
    assert 0 < await client.ttl(answer) <= 3600


def _all_words(error: BaseException | None) -> str:
    words = ""
    while error is not None:
        words += f"{error!r} {error} "
        error = error.__cause__ or error.__context__
    return words
