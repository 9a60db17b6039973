"""A Redis Cluster of which every node is away for a while: whoever works with it works on."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

import pytest

from shared.errors import ConnectionLostError, DependencyError
from shared.jobs import new_job
from shared.queue.factory import create_queue
from shared.queue.port import QueueSettings
from shared.queue.redis.keys import keys_of
from shared.queue.redis.lease_keeper import redis_lease_keeper
from shared.verdicts import Settlement
from shared.work_source import Exchange
from tests.integration.test_pool_redis import Ledger, Number, started
from tests.services.redis_cluster import RedisCluster

SETTINGS = QueueSettings(name="numbers", lease_seconds=0.6)


@pytest.fixture(scope="module")
def _cluster(new_directory: Callable[[str], Path]) -> Iterator[RedisCluster]:
    cluster = RedisCluster(new_directory("cluster"))
    cluster.start()
    yield cluster
    cluster.kill()


@pytest.fixture
def cluster(_cluster: RedisCluster) -> RedisCluster:
    """The cluster of this module, with all of its nodes."""
    start_again(_cluster)
    return _cluster


def start_again(cluster: RedisCluster) -> None:
    """Start the nodes that do not run; they know each other from before."""
    for node in cluster.nodes:
        node.start()


class Count:
    """Counts events of any thread, and lets a test wait for some."""

    def __init__(self) -> None:
        self._events = threading.Semaphore(0)

    def add(self) -> None:
        self._events.release()

    async def next(self, count: int = 1) -> None:
        """Return when so many have happened that nobody waited for yet."""
        for _ in range(count):
            assert await asyncio.to_thread(self._events.acquire, timeout=30), "it does not happen"


async def test_a_pool_works_on(cluster: RedisCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    queue = create_queue(SETTINGS, cluster.url)
    losses, exchange = Count(), queue.exchange

    async def noting(settled: Sequence[Settlement], want: int) -> Exchange:
        try:
            return await exchange(settled, want)
        except Exception:
            losses.add()
            raise

    monkeypatch.setattr(queue, "exchange", noting)
    ledger, stop = Ledger(), asyncio.Event()
    running = await started(queue, ledger, stop)
    cluster.kill()
    await losses.next(3)
    start_again(cluster)
    async with asyncio.timeout(30):
        while True:
            try:
                await queue.publish([new_job("number", Number(1))])
                break
            except ConnectionLostError:
                await asyncio.sleep(0.05)
    await ledger.reaches(1)
    stop.set()
    await asyncio.wait_for(running, 20)
    await queue.close()


async def test_a_lease_keeper_that_begins_without_it_renews_later(cluster: RedisCluster) -> None:
    keeper = redis_lease_keeper(cluster.url, "the cluster", keys_of("jobs"), SETTINGS, "tester")
    renewed, lost, renew = Count(), Count(), keeper._renew

    def noting(tokens: Sequence[str]) -> Collection[str]:
        try:
            found = renew(tokens)
        except Exception:
            lost.add()
            raise
        renewed.add()
        return found

    keeper._renew = noting
    cluster.kill()
    keeper.start({}, lambda _: None)
    await lost.next(3)
    start_again(cluster)
    await renewed.next()
    await asyncio.to_thread(keeper.stop)


async def test_a_worker_does_not_start_without_it(cluster: RedisCluster) -> None:
    cluster.kill()
    queue = create_queue(SETTINGS, cluster.url)
    with pytest.raises(DependencyError, match="lost Redis at the cluster of"):
        await queue.open("test", ["number"])
    await queue.close()
