"""What a queue leaves in Redis, and what lanes cost there: nothing grows without a bound."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

import pytest
import redis.asyncio
from msgspec.structs import replace

from shared.queue.port import LaneLimits, QueueSettings
from shared.queue.redis.admin import RedisQueueAdmin
from shared.queue.redis.exchanger import MOST_PER_CALL
from shared.queue.redis.keys import keys_of
from shared.queue.redis.queue import RedisQueue
from shared.redis.client import connect
from shared.verdicts import DeadLetter, Discard, Done, HandBack, Retry, Settlement
from tests.contracts.queue.harness import claim, job, keys
from tests.services import servers

ONE = LaneLimits(max_running=1)
SETTINGS = QueueSettings(name="jobs", lane_limits={"*": ONE})
KEYS = keys_of(SETTINGS.name)


@pytest.fixture
async def client(redis7_server: servers.Redis) -> AsyncIterator[redis.asyncio.Redis]:
    """A bare client of a private Redis 7.0."""
    client = connect(redis7_server.url)
    await client.config_set("appendonly", "no")
    yield client
    await client.aclose()


@pytest.fixture
async def queue(
    redis7_server: servers.Redis, client: redis.asyncio.Redis
) -> AsyncIterator[RedisQueue]:
    """A consumer on it, which knows the lanes."""
    queue = RedisQueue(SETTINGS, redis7_server.url)
    await queue.open("tester", ["job"])
    await queue.exchange([], 0)
    yield queue
    await queue.close()


@pytest.fixture
async def admin(redis7_server: servers.Redis) -> AsyncIterator[RedisQueueAdmin]:
    """Its administration."""
    admin = RedisQueueAdmin(SETTINGS, redis7_server.url)
    yield admin
    await admin.close()


async def everything(client: redis.asyncio.Redis) -> set[str]:
    """Names of all keys of the server."""
    return {key.decode() for key in await client.keys("*")}


async def test_a_queue_that_did_everything_leaves_only_what_expires(
    queue: RedisQueue, client: redis.asyncio.Redis, admin: RedisQueueAdmin
) -> None:
    await queue.publish(
        [
            *(job(lane="a", keep=0.1) for _ in range(3)),
            *(job(f"d{n}", lane="b", dedup=f"d{n}", window=0.01, delay=0.001) for n in range(3)),
            job("cancelled", lane="a"),
            job("free"),
        ]
    )
    await client.lpush(SETTINGS.name, b'{"type":"job"}', b"{")
    await admin.cancel(["cancelled"])
    await admin.pause("other")
    await admin.resume("other")
    turns = [Retry("r", 0.0), HandBack(), Done(1), Discard("d"), DeadLetter("x")]
    at = 0
    while (depth := await queue.depth()).inbox + depth.ready + depth.delayed + depth.leased:
        settled = []
        for each in await claim(queue, 100):
            verdict = turns[at % 5] if each.attempt == 1 else Done()
            settled.append(Settlement(each, verdict))
            at += 1
        await queue.exchange(settled, 0)
    dead = [each.key for each in await admin.dead_letters()]
    assert await admin.purge(dead) == len(dead) > 1
    windows = await client.zrange(f"{KEYS.prefix}windows", 0, -1)
    await client.zadd(f"{KEYS.prefix}windows", dict.fromkeys(windows, 1))
    await queue.publish([job("last", dedup="last", window=0.001)])
    await queue.exchange([Settlement(each, Done()) for each in await claim(queue)], 0)
    await queue.close()

    left = await everything(client)
    expiring = {key for key in left if await client.pttl(key) > 0}
    single = {"generation", "serial", "lanes:limits", "wake", "windows"}
    single_keys = {"worker-suite:incarnation", *(f"{KEYS.prefix}{name}" for name in single)}
    assert left - expiring <= single_keys
    assert await client.zcard(f"{KEYS.prefix}windows") == 1
    assert await client.llen(KEYS.wake) <= 1


async def test_starting_and_stopping_workers_leaves_no_trace_of_them(
    redis7_server: servers.Redis, client: redis.asyncio.Redis
) -> None:
    for _ in range(3):
        queue = RedisQueue(SETTINGS, redis7_server.url)
        await queue.open("tester", ["job"])
        await queue.close()
    assert await client.hlen(KEYS.consumers) == await client.zcard(KEYS.alive) == 0


async def test_a_suspect_that_is_put_aside_leaves_no_answer_for_ever(
    queue: RedisQueue, client: redis.asyncio.Redis, admin: RedisQueueAdmin
) -> None:
    await queue.publish([job(lane="a")])
    for _ in range(2):
        assert await claim(queue)
        await client.zadd(KEYS.leases, dict.fromkeys(await client.zrange(KEYS.leases, 0, -1), 1))
    await queue.exchange([], 0)
    await admin.pause("job")
    await client.delete(*[key for key in await everything(client) if ":answer:" in key])
    assert not await claim(queue)
    assert not [key for key in await everything(client) if ":answer:" in key]


async def test_lanes_full_of_paused_jobs_are_emptied_in_slices(
    queue: RedisQueue, client: redis.asyncio.Redis, admin: RedisQueueAdmin
) -> None:
    """A claim must not walk through all of them while everyone waits for the server."""
    lanes, each = 300, 10
    await queue.publish([job(lane=f"{n}") for n in range(lanes) for _ in range(each)])
    await admin.pause("job")
    await queue.publish([replace(job("free", lane="free"), type="other")])
    answer = await queue.exchange([], 100)
    parked = await client.llen(f"{KEYS.paused}:job")
    assert parked <= 2 * MOST_PER_CALL
    assert answer.next_due_seconds == 0
    found = keys(answer.deliveries)
    while parked < lanes * each:
        found += keys((await queue.exchange([], 100)).deliveries)
        parked = await client.llen(f"{KEYS.paused}:job")
    assert found == ["free"]


async def calls(client: redis.asyncio.Redis) -> Mapping[str, int]:
    """How often the server has carried out each command, also inside scripts."""
    stats = await client.info("commandstats")
    return {name.removeprefix("cmdstat_"): each["calls"] for name, each in stats.items()}


async def cost_of_a_claim(queue: RedisQueue, client: redis.asyncio.Redis) -> Mapping[str, int]:
    """Run one of lane a, one of lane b and a free one, and look; return the commands of it all."""
    await client.config_resetstat()
    await queue.publish([job("mine", lane="b"), job("free")])
    claimed = await claim(queue, 10)
    assert {each.job.lane for each in claimed} == {"a", "b", ""}
    assert not await claim(queue, 10), "lane a is full"
    await queue.exchange([Settlement(each, Done()) for each in claimed], 0)
    await queue.depth()
    return await calls(client)


async def test_a_claim_costs_the_same_whatever_waits_in_a_full_lane(
    queue: RedisQueue, client: redis.asyncio.Redis
) -> None:
    await client.set(f"{KEYS.prefix}lanes:recounted", "")  # by nobody while commands are counted
    await queue.publish([job(lane="a")])
    await cost_of_a_claim(queue, client)  # loads the scripts
    found = []
    for waiting in (1_000, 100_000):
        missing = waiting - (await queue.depth()).ready
        await queue.publish([job(lane="a") for _ in range(missing)])
        found.append(await cost_of_a_claim(queue, client))
    few, more = found
    assert more == few
    assert not {"lrange", "hkeys", "lrem", "scan"} & few.keys()
    assert sum(few.values()) < 150


async def test_what_a_wake_up_moved_is_listed_before_the_inbox(
    queue: RedisQueue, client: redis.asyncio.Redis, admin: RedisQueueAdmin
) -> None:
    for number in range(4):
        await client.lpush(SETTINGS.name, b'{"type":"job","id":%d}' % number)
    for _ in range(2):
        await client.lmove(KEYS.inbox, KEYS.intake, src="RIGHT", dest="LEFT")
    listed = [each.job.id for each in await admin.jobs("inbox") if each.job]
    assert listed == ["0", "1", "2", "3"]
    paged = [each.job.id for each in await admin.jobs("inbox", offset=1, limit=2) if each.job]
    assert paged == ["1", "2"]
    assert [each.job.id for each in await claim(queue, 4)] == listed, "the order of claims"


async def recounted(queue: RedisQueue, client: redis.asyncio.Redis) -> list[str]:
    """Let the time of the next recount come; return what can be claimed then."""
    await client.delete(f"{KEYS.prefix}lanes:recounted")
    await queue.exchange([], 0)
    return keys(await claim(queue))


async def test_a_lane_whose_running_job_lost_its_lease_in_a_failover_is_freed(
    queue: RedisQueue, client: redis.asyncio.Redis
) -> None:
    await queue.publish([job("a0", lane="a"), job("a1", lane="a")])
    (held,) = await claim(queue)
    await client.delete(KEYS.leases)
    assert await queue.exchange([Settlement(held, Done())], 0)
    assert not await claim(queue), "counted as running still"
    assert await recounted(queue, client) == ["a1"]


async def test_a_count_of_what_runs_that_is_too_high_is_mended(
    queue: RedisQueue, client: redis.asyncio.Redis
) -> None:
    await queue.publish([job("a0", lane="a"), job("a1", lane="a")])
    (held,) = await claim(queue)
    await client.hset(f"{KEYS.prefix}lanes:running", "a", "7")
    await queue.exchange([Settlement(held, Done())], 0)
    assert not await claim(queue), "six run, it seems"
    assert await recounted(queue, client) == ["a1"]


async def test_a_lost_count_of_what_runs_blocks_nothing_and_is_mended(
    queue: RedisQueue, client: redis.asyncio.Redis
) -> None:
    await queue.publish([job(f"a{n}", lane="a") for n in range(3)])
    (held,) = await claim(queue)
    await client.delete(f"{KEYS.prefix}lanes:running")
    assert await recounted(queue, client) == [], "the lease says that one runs"
    await client.delete(f"{KEYS.prefix}lanes:running", f"{KEYS.prefix}lanes:held")
    assert not (await queue.exchange([Settlement(held, Done())], 0)).refused
    assert await recounted(queue, client) == ["a1"]
