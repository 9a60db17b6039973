"""Reapers that race or die, consumers that vanish, loops that block, clocks that jump."""

from __future__ import annotations

import asyncio
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import redis.asyncio

from shared.queue.port import QueueSettings
from shared.queue.redis.keys import keys_of
from shared.queue.redis.queue import RedisQueue
from shared.redis.client import connect
from shared.verdicts import Done, Settlement, Snooze
from tests.contracts.queue.harness import claim, claim_one, job, keys, settle
from tests.faults.clocks import JumpingClock
from tests.faults.processes import Children
from tests.integration.counting_pool import Counting, numbers, pool_on
from tests.services import servers
from tests.services.servers import Redis

NAME = "jobs"
KEYS = keys_of(NAME)
LEASE = 1.5
JOBS = 60
SHORT = QueueSettings(name=NAME, lease_seconds=LEASE, max_crashes=1_000_000)
HOUR = 3600.0
Consumer = Callable[..., Awaitable[RedisQueue]]


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    """A bare client of the empty server."""
    client = connect(redis_url)
    yield client
    await client.aclose()


@pytest.fixture
async def consumer() -> AsyncIterator[Consumer]:
    """Opens consumers, and closes them at the end."""
    async with AsyncExitStack() as opened:

        async def consumer(url: str, settings: QueueSettings = SHORT) -> RedisQueue:
            queue = RedisQueue(settings, url)
            opened.push_async_callback(queue.close)
            await queue.open("counting", ["job"])
            return queue

        yield consumer


async def claim_soon(queue: RedisQueue, want: int = 10) -> list[str]:
    """Claim what comes back by itself."""
    async with asyncio.timeout(30):
        while not (found := keys(await claim(queue, want))):
            await queue.wait(0.2)
    return found


async def test_consumer_deletion_drops_pending(
    consumer: Consumer, redis_url: str, client: redis.asyncio.Redis
) -> None:
    """Whatever is kept of a consumer may be deleted: what it held comes back all the same."""
    gone, other = await consumer(redis_url), await consumer(redis_url)
    await gone.publish([job("a"), job("b")])
    assert keys(await claim(gone)) == ["a", "b"]
    await gone.close()
    answers = [key async for key in client.scan_iter(match=f"{KEYS.prefix}answer:*")]
    await client.delete(KEYS.alive, KEYS.consumers, *answers)
    assert await claim_soon(other) == ["a", "b"]


async def test_delay_longer_than_the_lease(consumer: Consumer, redis_url: str) -> None:
    """What is put off for several leases is held by nobody: it comes once, and uncrashed."""
    settings = QueueSettings(name=NAME, lease_seconds=0.2)
    queues = [await consumer(redis_url, settings) for _ in range(2)]
    await queues[0].publish([job("delayed", delay=0.6), job("snoozed")])
    await settle(queues[0], await claim_one(queues[0]), Snooze(0.6))
    found: list[tuple[str, int, int]] = []
    async with asyncio.timeout(10):
        while len(found) < 2 or (await queues[0].depth()).leased:
            for queue in queues:
                deliveries = await claim(queue)
                await queue.exchange([Settlement(each, Done()) for each in deliveries], 0)
                found += [(each.job.key, each.attempt, each.crashes) for each in deliveries]
            await queues[0].wait(0.05)
    assert sorted(found) == [("delayed", 1, 0), ("snoozed", 1, 0)]


async def test_reaper_race(consumer: Consumer, redis_url: str, client: redis.asyncio.Redis) -> None:
    """Many settle at the moment their leases end: each job is settled once, by one of them.

    Here the reaper takes no snapshot: it runs in the script that settles and claims.
    """
    settings = QueueSettings(name=NAME, lease_seconds=HOUR, max_crashes=1_000_000)
    wanted = [str(n) for n in range(400)]
    queues = [await consumer(redis_url, settings) for _ in range(6)]
    await queues[0].publish([job(key) for key in wanted])
    accepted, refused = Counter[str](), Counter[str]()

    async def work(queue: RedisQueue) -> None:
        while set(accepted) != set(wanted):
            deliveries = await claim(queue, 5)
            await asyncio.sleep(random.uniform(0.0, 0.01))
            settled = [Settlement(each, Done()) for each in deliveries]
            late = set((await queue.exchange(settled, 0)).refused)
            for each in deliveries:
                (refused if each.token in late else accepted)[each.job.key] += 1

    async def end_leases() -> None:
        while set(accepted) != set(wanted):
            held = await client.zrange(KEYS.leases, 0, -1)
            ended = {t: 0 for t in held if not t.endswith(b":2") and random.random() < 0.3}
            if ended:  # no job's more than twice, so this has an end on the slowest machine
                await client.zadd(KEYS.leases, ended, xx=True)

    async with asyncio.timeout(40):
        await asyncio.gather(end_leases(), *(work(queue) for queue in queues))
    assert accepted == Counter(wanted), "settled once each"
    assert refused, "there was a race"
    assert (await queues[0].depth()).leased == 0


REAPING = """
import asyncio, sys
from shared.queue.port import QueueSettings
from shared.queue.redis.queue import RedisQueue

async def main(url):
    queue = RedisQueue(QueueSettings(name="jobs", lease_seconds=0.001, max_crashes=10**6), url)
    await queue.open("counting", ["job"])
    print("reaping", flush=True)
    while True:
        await queue.exchange([], 50)

asyncio.run(main(sys.argv[1]))
"""


async def test_reaper_lock_left_after_a_sigkill(
    consumer: Consumer, redis_url: str, tmp_path: Path
) -> None:
    """A reaper that dies at work leaves nothing that keeps the next one from its work."""
    other = await consumer(redis_url)
    await other.publish([job(str(n)) for n in range(JOBS)])
    with Children() as children:
        for turn in range(3):
            log = tmp_path / f"log-{turn}"
            child = children.start([sys.executable, "-c", REAPING, redis_url], log=log)
            async with asyncio.timeout(40):
                while "reaping" not in (log.read_text() if log.exists() else ""):
                    await asyncio.sleep(0.01)
            await asyncio.sleep(0.02 * (turn + 1))
            child.kill()
    found: set[str] = set()
    settled: list[Settlement] = []
    async with asyncio.timeout(40):
        while len(found) < JOBS:
            answer = await other.exchange(settled, 50)
            found.update(keys(answer.deliveries))
            settled = [Settlement(each, Done()) for each in answer.deliveries]
            if not settled:
                await other.wait(0.2)


async def test_renewal_starved_by_a_blocked_loop(redis_url: str) -> None:
    """A processor that blocks the loop for several leases keeps its job, and its neighbours'."""
    blocked, done = threading.Event(), threading.Event()

    async def block(n: int) -> None:
        blocked.set()
        time.sleep(2 * LEASE if n == 1 else 0.0)

    async def watch() -> list[str]:
        queue, found = RedisQueue(SHORT, redis_url), list[str]()
        await queue.open("counting", ["job"])
        await asyncio.to_thread(blocked.wait)
        while not done.is_set():
            found += keys(await claim(queue))
            await asyncio.sleep(0.02)
        await queue.close()
        return found

    counting, queue = Counting(block), RedisQueue(SHORT, redis_url)
    await queue.publish(numbers(1, 2))
    with ThreadPoolExecutor() as threads:
        watching = threads.submit(asyncio.run, watch())
        async with pool_on(queue, counting, slots=10):
            await counting.reaches(2)
        done.set()
        assert watching.result(30) == []
    assert counting.ran == {1: 1, 2: 1}


async def test_renewal_that_outlives_the_job(redis_url: str, client: redis.asyncio.Redis) -> None:
    """A job that neither ends nor heeds its cancellation is renewed until its time, no longer."""
    ended = asyncio.Event()

    async def ignore_everything(_: int) -> None:
        while not ended.is_set():
            try:
                await ended.wait()
            except asyncio.CancelledError:
                continue

    queue, counting = RedisQueue(SHORT, redis_url), Counting(ignore_everything)
    counting.timeout_seconds = 0.2
    await queue.publish(numbers(1))
    async with pool_on(queue, counting, slots=1, cancel_grace_seconds=0.2):
        try:
            async with asyncio.timeout(30):
                delayed = leased = 0
                while not delayed:
                    await asyncio.sleep(0.02)
                    # At one moment: its delay may be over in the next.
                    both = client.pipeline(transaction=True)
                    delayed, leased = await both.zcard(KEYS.delayed).zcard(KEYS.leases).execute()
            assert leased == 0, "given up and retried while it still runs"
        finally:
            ended.set()  # else nothing would ever end it


@pytest.fixture
def clock(tmp_path: Path) -> JumpingClock:
    """A clock that programs started with its environment see."""
    return JumpingClock(tmp_path / "clock")


@pytest.fixture
def jumping_server(
    clock: JumpingClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Redis]:
    """Valkey under the jumping clock: libfaketime and the allocator of Redis 7.0 clash."""
    for name, value in clock.env.items():
        monkeypatch.setenv(name, value)
    server = servers.valkey(tmp_path / "valkey")
    for name in clock.env:
        monkeypatch.delenv(name)
    yield server
    server.kill()


async def jump(clock: JumpingClock, server: Redis, seconds: float) -> None:
    """Set the server's clock, and wait until it has looked: it keeps the time of its last round."""
    clock.jump_to(seconds)
    async with connect(server.url) as client:
        while abs((await client.time())[0] - time.time() - seconds) > HOUR / 2:
            pass


async def test_the_servers_clock_jumps_ahead(
    consumer: Consumer, clock: JumpingClock, jumping_server: Redis
) -> None:
    """Leases end early and delays are over early: jobs run twice, and are settled once."""
    settings = QueueSettings(name=NAME, lease_seconds=30.0)
    queue = await consumer(jumping_server.url, settings)
    other = await consumer(jumping_server.url, settings)
    await queue.publish([job("held"), job("delayed", delay=60.0)])
    held = await claim_one(queue)
    await jump(clock, jumping_server, HOUR)
    again = await claim(other)
    assert keys(again) == ["held", "delayed"]
    assert await settle(queue, held, Done()) == [held.token]
    assert not (await other.exchange([Settlement(each, Done()) for each in again], 0)).refused
    assert (await other.depth()).leased == 0


async def test_the_servers_clock_jumps_back(
    consumer: Consumer, clock: JumpingClock, jumping_server: Redis
) -> None:
    """What is ready, held and settled is as before; an expiry comes late, and nothing is lost."""
    queue = await consumer(jumping_server.url)
    other = await consumer(jumping_server.url)
    await queue.publish([job("held"), job("dead"), job("waiting")])
    held, _dead = await claim(queue, 2)
    await jump(clock, jumping_server, -HOUR)
    await other.publish([job("new")])
    assert keys(await claim(other)) == ["waiting", "new"]
    assert not await settle(queue, held, Done()), "its lease is its own"
    await jump(clock, jumping_server, 0.0)
    while "dead" not in await claim_soon(other):
        pass


WORKING = """
import asyncio, sys
from pathlib import Path
from shared.queue.factory import create_queue
from shared.queue.port import QueueSettings
from tests.integration.counting_pool import Counting, pool_on

async def main(url, end):
    async def work(n):
        while not Path(end).exists():
            await asyncio.sleep(0.02)

    counting = Counting(work)
    async with pool_on(create_queue(QueueSettings(name="jobs", lease_seconds=3.0), url), counting):
        await counting.reaches(3)
    print("ran", *sorted(counting.ran.elements()), flush=True)

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.parametrize("seconds", [-HOUR, 400 * 24 * HOUR])
async def test_a_workers_clock_jumps(
    redis_url: str,
    client: redis.asyncio.Redis,
    clock: JumpingClock,
    tmp_path: Path,
    seconds: float,
) -> None:
    """Leases go by the server's clock, renewals by the monotonic one: nothing changes."""
    end, log = tmp_path / "end", tmp_path / "log"
    producer = RedisQueue(SHORT, redis_url)
    await producer.publish(numbers(1, 2, 3))
    command = [sys.executable, "-c", WORKING, redis_url, str(end)]
    with Children() as children:
        child = children.start(command, env=clock.env, log=log)
        async with asyncio.timeout(30):
            while len(held := await leases(client)) < 3:
                await asyncio.sleep(0.02)
            clock.jump_to(seconds)
            for _ in range(2):
                before = now = await leases(client)
                while not all(now[token] > before[token] for token in held):
                    await asyncio.sleep(0.02)
                    now = await leases(client)
                    assert now.keys() == held.keys(), "renewed, and none handed out again"
            end.touch()
            await asyncio.to_thread(child.wait)
    assert log.read_text().endswith("ran 1 2 3\n")
    depth = await producer.depth()
    assert (depth.ready, depth.delayed, depth.leased, depth.dead) == (0, 0, 0, 0)
    await producer.close()


async def leases(client: redis.asyncio.Redis) -> dict[bytes, float]:
    """Tokens that are leased, and until when."""
    return dict(await client.zrange(KEYS.leases, 0, -1, withscores=True))
