"""What a killed worker held comes back by its lease, and no more than that runs twice."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from shared.queue.port import Queue, QueueSettings
from shared.queue.redis.queue import RedisQueue
from tests.faults.processes import Child, Children
from tests.integration.counting_pool import Counting, numbers, pool_on

SETTINGS = QueueSettings(name="jobs", lease_seconds=1.0)
SLOTS = 5
JOBS = 200

# Each job has an hour, and its lease a second. It notes itself before its work and after it.
WORKING = """
import asyncio, sys
from tests.integration.counting_pool import Counting, pool_on
from tests.integration.test_faults_kills import SETTINGS, SLOTS, RedisQueue

async def main(url, seconds):
    async def work(n):
        print("began", n, flush=True)
        await asyncio.sleep(float(seconds) * (1 + n % SLOTS))
        print("ran", n, flush=True)

    counting = Counting(work)
    counting.timeout_seconds = 3600.0
    async with pool_on(RedisQueue(SETTINGS, url), counting, slots=SLOTS):
        await asyncio.Event().wait()

asyncio.run(main(*sys.argv[1:]))
"""


class Victim:
    """A worker in a process of its own."""

    def __init__(self, child: Child, log: Path) -> None:
        self._child = child
        self._log = log

    def noted(self, word: str) -> list[int]:
        """Return the numbers it noted under this word."""
        lines = self._log.read_text().splitlines()
        return [int(line.split()[1]) for line in lines if line.startswith(f"{word} ")]

    async def dies_at(self, count: int, word: str) -> None:
        """SIGKILL it once it has noted so many."""
        async with asyncio.timeout(30):
            while len(self.noted(word)) < count:
                await asyncio.sleep(0.005)
        self._child.kill()


@pytest.fixture
def victim(redis_url: str, tmp_path: Path) -> Iterator[Callable[[float], Victim]]:
    """Starts workers whose jobs take so many seconds."""
    with Children() as children:

        def start(seconds: float) -> Victim:
            log = tmp_path / "log"
            log.touch()
            command = [sys.executable, "-c", WORKING, redis_url, str(seconds)]
            return Victim(children.start(command, log=log), log)

        yield start


@pytest.fixture
async def producer(redis_url: str) -> AsyncIterator[Queue]:
    """A producer."""
    queue = RedisQueue(SETTINGS, redis_url)
    yield queue
    await queue.close()


async def test_never_recovered(
    victim: Callable[[float], Victim], producer: Queue, redis_url: str
) -> None:
    """The leases of the dead end by themselves, also where a job may take much longer."""
    await producer.publish(numbers(*range(SLOTS)))
    await victim(3600.0).dies_at(SLOTS, "began")
    counting = Counting()
    async with pool_on(RedisQueue(SETTINGS, redis_url), counting):
        await counting.reaches(SLOTS, seconds=20)
    depth = await producer.depth()
    assert (depth.ready, depth.delayed, depth.leased, depth.dead) == (0, 0, 0, 0)


async def test_duplicate_window_of_batched_settlements(
    victim: Callable[[float], Victim], producer: Queue, redis_url: str
) -> None:
    """No batch of verdicts grows beyond the slots, so a kill doubles at most so many jobs."""
    await producer.publish(numbers(*range(JOBS)))
    killed = victim(0.003)
    await killed.dies_at(JOBS // 2, "ran")
    before, counting = set(killed.noted("ran")), Counting()
    async with pool_on(RedisQueue(SETTINGS, redis_url), counting), asyncio.timeout(30):
        while (depth := await producer.depth()).ready or depth.leased:
            await asyncio.sleep(0.02)
    assert before | set(counting.ran) == set(range(JOBS)), "lost"
    assert len(before & set(counting.ran)) <= SLOTS
