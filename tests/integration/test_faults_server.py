"""What a queue costs its server, and what happens when the server's disk is full."""

from __future__ import annotations

import asyncio
import itertools
import shutil
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest
import redis.asyncio

from shared.errors import ConnectionLostError
from shared.queue.port import QueueSettings
from shared.queue.redis.keys import keys_of
from shared.queue.redis.queue import RedisQueue
from shared.redis.client import connect
from shared.verdicts import Done, HandBack, Retry, Settlement
from tests.contracts.queue.harness import claim, job, keys
from tests.faults.disks import fill, small_disk
from tests.services import servers

SETTINGS = QueueSettings(name="jobs")
KEYS = keys_of(SETTINGS.name)
FEW = 1_000
_WITHOUT_BOUND = {
    "keys", "scan", "lrem", "lindex", "linsert", "lset", "smembers", "hgetall", "hkeys", "hvals",
    "hscan", "sscan", "zscan", "sort",
}  # fmt: skip
"""Commands that walk through a whole key (LINDEX: unless it asks for one of the two ends)."""

# Copies the one job that waits, a slice a call, so that a million of them take seconds.
SLICE = 50_000
_MULTIPLY = """
local member = redis.call('LINDEX', KEYS[1], -1)
local key, rest = string.match(member, '^(.*)(:%d+:%d+:%d+)$')
local stored = redis.call('HGET', KEYS[2], key)
for from = ARGV[1], ARGV[2], 1000 do
  local members, jobs, later = {}, {}, {}
  for n = from, math.min(from + 999, ARGV[2]) do
    members[#members + 1] = key .. n .. rest
    jobs[#jobs + 1], jobs[#jobs + 2] = key .. n, stored
    later[#later + 1], later[#later + 2] = 9e12, 'later' .. n .. rest
  end
  redis.call('LPUSH', KEYS[1], unpack(members))
  redis.call('HSET', KEYS[2], unpack(jobs))
  redis.call('ZADD', KEYS[3], unpack(later))
end
"""


@pytest.fixture
async def client(redis7_server: servers.Redis) -> AsyncIterator[redis.asyncio.Redis]:
    """A bare client of a private Redis 7.0, which writes no log of a million jobs."""
    client = connect(redis7_server.url)
    await client.config_set("appendonly", "no")
    yield client
    await client.aclose()


@pytest.fixture
async def queue(
    redis7_server: servers.Redis, client: redis.asyncio.Redis
) -> AsyncIterator[RedisQueue]:
    """A consumer on it."""
    queue = RedisQueue(SETTINGS, redis7_server.url)
    await queue.open("tester", ["job"])
    yield queue
    await queue.close()


async def calls(client: redis.asyncio.Redis) -> Mapping[str, int]:
    """How often the server has carried out each command, also inside scripts."""
    stats = await client.info("commandstats")
    return {name.removeprefix("cmdstat_"): each["calls"] for name, each in stats.items()}


async def cost_of_a_round(client: redis.asyncio.Redis, queue: RedisQueue) -> Mapping[str, int]:
    """Publish, claim, settle in three ways, look at the depth; return the commands of it all."""
    await client.config_resetstat()
    await queue.publish([job() for _ in range(10)])
    first, second, third, *rest = await claim(queue, 10)
    settled = [Settlement(first, Retry("r", 3600.0)), Settlement(second, HandBack())]
    settled += [Settlement(each, Done()) for each in (third, *rest)]
    await queue.exchange(settled, 0)
    await queue.depth()
    return await calls(client)


@pytest.mark.parametrize("many", [50_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
async def test_o_n_redis_work(queue: RedisQueue, client: redis.asyncio.Redis, many: int) -> None:
    """The same commands, whether a thousand jobs wait or a million; none walks through a key."""
    await cost_of_a_round(client, queue)  # loads the scripts
    await queue.publish([job("seed")])
    found = []
    for waiting in (FEW, many):
        await client.delete(KEYS.ready[1], KEYS.delayed, KEYS.jobs, KEYS.leases)
        await queue.publish([job("seed")])
        for at in range(2, waiting + 1, SLICE):
            names = KEYS.ready[1], KEYS.jobs, KEYS.delayed
            await client.eval(_MULTIPLY, 3, *names, at, min(at + SLICE - 1, waiting))
        depth = await queue.depth()
        assert (depth.ready, depth.delayed) == (waiting, waiting - 1)
        found.append(await cost_of_a_round(client, queue))
    few, more = found
    assert more == few
    assert not _WITHOUT_BOUND & few.keys() - {"lindex", "hgetall"}
    assert few["lindex"] <= 4, "depth looks at the head of each ready list"
    assert few.get("hgetall", 0) <= 4, "the paused job types, which people name"
    assert few.get("lrange", 0) == 0
    assert sum(few.values()) < 150, "per batch, not per job and queue"


async def test_an_idle_consumer_costs_two_blocking_commands_and_a_look(
    queue: RedisQueue, client: redis.asyncio.Redis
) -> None:
    """No polling: an idle round is one script, while two commands block for seconds."""
    for _ in range(2):  # the first round starts the blocking commands
        await client.config_resetstat()
        assert not (await queue.exchange([], 10)).deliveries
        await queue.wait(5.0)
    idle = await calls(client)
    assert idle["evalsha"] == 1
    assert idle.get("blpop", 0) + idle.get("blmove", 0) <= 2
    assert sum(idle.values()) <= 40, "what the script does, and no look in between"


async def test_stream_that_grows_finished_jobs_leave_nothing(
    queue: RedisQueue, client: redis.asyncio.Redis
) -> None:
    """Only what names this consumer and its last answer stays, however many jobs there were."""
    left = []
    for _ in range(2):
        for _ in range(20):
            await queue.publish([job(dedup=f"doc-{n}") for n in range(50)])
            deliveries = await claim(queue, 50)
            await queue.exchange([Settlement(each, Done()) for each in deliveries], 0)
        names = [name async for name in client.scan_iter(count=1000)]
        left.append(sum([await client.memory_usage(name) or 0 for name in names]))
        assert await client.hlen(KEYS.jobs) == 0
        assert await client.hlen(KEYS.dedup) == 0
        assert await client.zcard(KEYS.leases) == 0
    assert left[1] <= left[0]


async def test_a_full_disk_refuses_publishes_loudly_and_loses_nothing(
    tmp_path: Path, disks: None
) -> None:
    program = shutil.which("redis-server") or servers.missing("Redis 7", "apt-get install it")
    with small_disk(tmp_path / "disk", megabytes=8):
        server = servers.Redis(tmp_path / "disk" / "data", program=Path(program))
        server.start()
        queue = RedisQueue(SETTINGS, server.url)
        await queue.publish([job("before")])
        ballast = fill(tmp_path / "disk")
        acknowledged: list[str] = []
        with pytest.raises(ConnectionLostError, match="MISCONF"):
            await _publish_for_ever(queue, acknowledged)
        ballast.unlink()
        await _publish_once_it_is_taken(queue, "after")
        server.restart()
        await queue.close()
        queue = RedisQueue(SETTINGS, server.url)
        await queue.open("tester", ["job"])
        assert keys(await claim(queue, 1000)) == ["before", *acknowledged, "after"]
        await queue.close()
        server.kill()


async def _publish_for_ever(queue: RedisQueue, acknowledged: list[str]) -> None:
    for number in itertools.count():
        await queue.publish([job(f"job-{number}", payload=b"x" * 5000)])
        acknowledged.append(f"job-{number}")


async def _publish_once_it_is_taken(queue: RedisQueue, key: str) -> None:
    while True:
        try:
            await queue.publish([job(key)])
            return
        except ConnectionLostError:
            await asyncio.sleep(0.05)
