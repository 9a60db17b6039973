"""Workers and servers killed in the middle of batches: 0 lost, few doubled, none settled twice."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from shared.queue.factory import create_queue
from shared.queue.port import QueueSettings
from shared.queue.redis.keys import keys_of
from shared.redis.client import connect
from tests.contracts.queue.harness import job
from tests.integration.queue_kill_worker import BATCH, SETTINGS
from tests.services.servers import Redis

JOBS = 3000
NAME = "kill-jobs"
WORKERS = 3


class Fleet:
    """Worker processes that can be killed, and the ledger they write to."""

    def __init__(self, url: str, ledger: Path) -> None:
        self._url = url
        self._ledger = ledger
        ledger.touch()
        self._processes = [self._spawn() for _ in range(WORKERS)]

    def _spawn(self) -> subprocess.Popen[bytes]:
        module = "tests.integration.queue_kill_worker"
        return subprocess.Popen([sys.executable, "-m", module, self._url, NAME, self._ledger])

    def replace_one(self) -> None:
        """SIGKILL a worker and start another."""
        at = random.randrange(WORKERS)
        self._processes[at].kill()
        self._processes[at].wait()
        self._processes[at] = self._spawn()

    def stop(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()

    def written(self, word: str) -> Counter[str]:
        """Count the ledger's lines that begin with a word, by job key."""
        lines = (line.split() for line in self._ledger.read_text().splitlines())
        return Counter(line[1] for line in lines if len(line) == 2 and line[0] == word)

    async def until_ran(self, count: int) -> None:
        """Return once this many lines tell of work."""
        while self.written("ran").total() < count:
            await asyncio.sleep(0.02)


@pytest.fixture
def fleet(redis7_server: Redis, tmp_path: Path) -> Iterator[Fleet]:
    """Three workers on a private Redis 7.0, append-only every second."""
    fleet = Fleet(redis7_server.url, tmp_path / "ledger")
    yield fleet
    fleet.stop()


async def publish(url: str, keys: list[str]) -> None:
    queue = create_queue(QueueSettings(name=NAME), url)
    await queue.publish([job(key) for key in keys])
    await queue.close()


async def until_empty(url: str) -> None:
    """Return once nothing waits and nothing is leased."""
    queue = create_queue(QueueSettings(name=NAME, **SETTINGS), url)
    while True:
        depth = await queue.depth()
        if not (depth.ready or depth.leased or depth.delayed):
            break
        await asyncio.sleep(0.05)
    assert depth.dead == 0
    await queue.close()


def check_nothing_lost(fleet: Fleet, keys: list[str], most_doubled: int) -> None:
    ran = fleet.written("ran")
    assert set(ran) == set(keys), "lost"
    assert ran.total() - len(keys) <= most_doubled


async def check_nothing_stranded(server: Redis) -> None:
    """A job that is stored is somewhere: what neither waits nor is leased, nobody would find."""
    client = connect(server.url)
    assert await client.hlen(keys_of(NAME).jobs) == 0
    await client.aclose()


def check_settled_once(fleet: Fleet) -> None:
    done = fleet.written("done")
    assert [key for key, times in done.items() if times > 1] == [], "settled twice: fence broken"


async def test_workers_killed_again_and_again_lose_nothing(
    fleet: Fleet, redis7_server: Redis
) -> None:
    keys = [f"job-{n}" for n in range(JOBS)]
    await publish(redis7_server.url, keys)
    kills = 12
    for kill in range(kills):
        await fleet.until_ran((kill + 1) * JOBS // (kills + 2))
        fleet.replace_one()
    await until_empty(redis7_server.url)
    await check_nothing_stranded(redis7_server)
    check_nothing_lost(fleet, keys, most_doubled=kills * BATCH)
    check_settled_once(fleet)


async def test_a_server_that_syncs_always_forgets_no_settlement(
    fleet: Fleet, redis7_server: Redis
) -> None:
    """What a server acknowledges with appendfsync always, it still knows after a SIGKILL."""
    keys = [f"job-{n}" for n in range(JOBS)]
    sync_always(redis7_server)
    await publish(redis7_server.url, keys)
    kills = 4
    for kill in range(kills):
        await fleet.until_ran((kill + 1) * JOBS // (kills + 2))
        redis7_server.kill()
        redis7_server.start()
        sync_always(redis7_server)
    await until_empty(redis7_server.url)
    await check_nothing_stranded(redis7_server)
    check_nothing_lost(fleet, keys, most_doubled=kills * WORKERS * BATCH)
    check_settled_once(fleet)


def sync_always(server: Redis) -> None:
    """Make every acknowledged write of this server durable; a start forgets it."""
    with redis.Redis.from_url(server.url) as client:
        client.config_set("appendfsync", "always")


async def test_a_server_killed_again_and_again_loses_no_job(
    fleet: Fleet, redis7_server: Redis
) -> None:
    """With fsync every second the server may forget its last settlements, and jobs run again."""
    keys = [f"job-{n}" for n in range(JOBS)]
    await publish(redis7_server.url, keys)
    kills = 4
    for kill in range(kills):
        await fleet.until_ran((kill + 1) * JOBS // (kills + 2))
        redis7_server.kill()
        redis7_server.start()
    await until_empty(redis7_server.url)
    await check_nothing_stranded(redis7_server)
    check_nothing_lost(fleet, keys, most_doubled=kills * JOBS // 4)
