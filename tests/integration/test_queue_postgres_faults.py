"""Postgres servers, connections and workers that break: nothing is lost, nothing is done twice."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import asyncpg
import pytest

from shared.errors import ConnectionLostError, PermanentError
from shared.queue.port import Published, QueueSettings
from shared.queue.postgres.queue import PostgresQueue
from shared.verdicts import DeadLetter, Done, Retry, Settlement
from shared.work_source import Exchange
from tests.contracts.queue.harness import claim, claim_one, job, keys, settle
from tests.faults.proxy import Proxy
from tests.integration.queue_kill_worker import BATCH
from tests.integration.queue_kill_worker import SETTINGS as KILL_SETTINGS
from tests.integration.test_queue_postgres import blocked
from tests.services.servers import Postgres

SETTINGS = QueueSettings(name="cut:jobs")
BIND = b"B"
"""First byte of what a client sends to carry out a statement (Postgres's protocol, version 3)."""
LONGER_THAN_LISTEN = 120
"""Bytes: a listener's connection hears of notifications, which answer nothing."""


class CuttingProxy(Proxy):
    """While `cuts` is above zero, the answer to a statement does not get through: the connection
    is closed instead, and `cuts` falls by one."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.cuts = 0
        self.drop_answer = self._is_to_be_cut

    def _is_to_be_cut(self, request: bytes, _answer: bytes) -> bool:
        if not self.cuts or request[:1] != BIND or len(request) < LONGER_THAN_LISTEN:
            return False
        self.cuts -= 1
        return True


@pytest.fixture
async def proxy(queue_database_url: str) -> AsyncIterator[CuttingProxy]:
    """A proxy that cuts when told to."""
    async with CuttingProxy(queue_database_url) as proxy:
        assert isinstance(proxy, CuttingProxy)
        yield proxy


@pytest.fixture
def settings(request: pytest.FixtureRequest) -> QueueSettings:
    """A queue of the test's own."""
    return QueueSettings(name=request.node.name)


@pytest.fixture
async def queue(proxy: CuttingProxy, settings: QueueSettings) -> AsyncIterator[PostgresQueue]:
    """A consumer behind the proxy."""
    queue = PostgresQueue(settings, proxy.url)
    await queue.open("tester", ["job"])
    yield queue
    await queue.close()


@pytest.fixture
async def other(queue_database_url: str, settings: QueueSettings) -> AsyncIterator[PostgresQueue]:
    """A consumer with a sound connection."""
    queue = PostgresQueue(settings, queue_database_url)
    await queue.open("tester", ["job"])
    yield queue
    await queue.close()


async def exchange(queue: PostgresQueue, settled: Sequence[Settlement], want: int) -> Exchange:
    """Exchange, repeating the call while the server is away, as a pool does."""
    async with asyncio.timeout(30):
        while True:
            try:
                return await queue.exchange(settled, want)
            except ConnectionLostError:
                await asyncio.sleep(0.02)


async def test_a_repeated_exchange_returns_the_same_deliveries_and_refuses_nothing(
    queue: PostgresQueue, other: PostgresQueue, proxy: CuttingProxy
) -> None:
    await other.publish([job(key) for key in "abcde"])
    first, second = await claim(queue, 2)
    settled = [Settlement(first, Done()), Settlement(second, Retry("again", 3600.0))]
    proxy.cuts = 2
    for _ in range(2):
        with pytest.raises(ConnectionLostError):
            await queue.exchange(settled, 2)
    assert keys(await claim(other)) == ["e"], "the cut call was carried out, once"

    answer = await queue.exchange(settled, 2)

    assert keys(answer.deliveries) == ["c", "d"]
    assert not answer.refused
    depth = await other.depth()
    assert (depth.ready, depth.delayed, depth.leased) == (0, 1, 3)
    assert not (await queue.exchange([Settlement(d, Done()) for d in answer.deliveries], 0)).refused


async def test_a_refusal_is_told_by_the_repeated_call_too(
    queue: PostgresQueue, other: PostgresQueue, proxy: CuttingProxy
) -> None:
    await other.publish([job("a"), job("b")])
    gone, held = await claim(queue)
    await settle(queue, gone, Done())
    proxy.cuts = 1
    settled = [Settlement(held, DeadLetter("no")), Settlement(gone, Retry("late", 0.0))]
    with pytest.raises(ConnectionLostError):
        await queue.exchange(settled, 0)
    assert list((await queue.exchange(settled, 0)).refused) == [gone.token]
    assert (await other.depth()).dead == 1


async def test_deliveries_of_an_abandoned_call_are_given_back(
    queue: PostgresQueue, other: PostgresQueue, proxy: CuttingProxy
) -> None:
    await other.publish([job(key) for key in "abc"])
    held = await claim_one(queue)
    proxy.cuts = 1
    with pytest.raises(ConnectionLostError):
        await queue.exchange([Settlement(held, Done())], 2)

    answer = await queue.exchange([Settlement(held, Done())], 0)

    assert not answer.refused, "it had been accepted by the call that was cut"
    assert [(d.job.key, d.crashes) for d in await claim(other)] == [("b", 0), ("c", 0)]


async def test_a_call_that_arrives_after_a_later_one_is_without_effect(
    queue: PostgresQueue, other: PostgresQueue, proxy: CuttingProxy
) -> None:
    exchanger = queue._exchanger
    assert exchanger is not None
    await other.publish([job(key) for key in "abc"])
    proxy.cuts = 1
    with pytest.raises(ConnectionLostError):
        await queue.exchange([], 1)
    ghost = exchanger._unanswered
    assert ghost is not None
    await queue.exchange([], 1)
    await claim_one(queue)
    with pytest.raises(PermanentError, match="STALE"):
        await exchanger._send(ghost)
    assert (await other.depth()).ready == 1


async def test_a_call_that_still_runs_as_it_is_repeated_is_carried_out_once(
    queue: PostgresQueue, other: PostgresQueue, proxy: CuttingProxy, queue_database_url: str
) -> None:
    await other.publish([job("blocked"), job("next")])
    settled = [Settlement(await claim_one(queue), Done())]
    holder, watcher = [await asyncpg.connect(queue_database_url) for _ in range(2)]
    lock = "SELECT FROM worker_suite.queue_job WHERE key = $1 FOR UPDATE"
    async with holder.transaction():
        await holder.execute(lock, b"blocked")
        first = asyncio.create_task(queue.exchange(settled, 1))
        await blocked(watcher, 1)
        await proxy.cut()
        with pytest.raises(ConnectionLostError):
            await first
        repeated = asyncio.create_task(exchange(queue, settled, 1))
        await blocked(watcher, 2)
    answer = await repeated
    assert not answer.refused
    assert keys(answer.deliveries) == ["next"]
    await holder.close()
    await watcher.close()


async def test_a_repeated_publish_stores_nothing_twice(
    queue: PostgresQueue, other: PostgresQueue, proxy: CuttingProxy
) -> None:
    jobs = [job("a"), job("b", dedup="doc-1"), job("c", delay=3600.0)]
    proxy.cuts = 1
    with pytest.raises(ConnectionLostError):
        await queue.publish(jobs)
    assert await queue.publish(jobs) == Published(0, 3)
    depth = await other.depth()
    assert (depth.ready, depth.delayed) == (2, 1)


async def test_cuts_at_random_lose_and_double_nothing(
    queue: PostgresQueue, other: PostgresQueue, proxy: CuttingProxy
) -> None:
    sent = [str(n) for n in range(100)]
    await other.publish([job(key) for key in sent])
    done: list[str] = []
    settled: list[Settlement] = []
    turn = 0
    while settled or len(done) < len(sent):
        turn += 1
        proxy.cuts = turn % 3
        answer = await exchange(queue, settled, 4)
        assert not answer.refused
        done += keys([each.delivery for each in settled])
        settled = [Settlement(each, Done()) for each in answer.deliveries]
    assert sorted(done) == sorted(sent)
    assert (await other.depth()).leased == 0


@pytest.mark.parametrize("how", ["stop", "kill"])
async def test_a_restarted_server_has_everything_and_the_consumer_goes_on(
    postgres_server: Postgres, how: str
) -> None:
    queue = PostgresQueue(SETTINGS, postgres_server.url)
    await queue.open("tester", ["job"])
    await queue.publish([*(job(key) for key in "abcd"), job("later", delay=0.5)])
    held = await claim_one(queue)
    getattr(postgres_server, how)()
    with pytest.raises(ConnectionLostError):
        await claim(queue, 1)
    postgres_server.start()
    done: list[str] = []
    settled = [Settlement(held, Retry("again", 0.1))]
    async with asyncio.timeout(30):
        while len(done) < 5:
            answer = await exchange(queue, settled, 2)
            assert not answer.refused
            done += keys(answer.deliveries)
            settled = [Settlement(each, Done()) for each in answer.deliveries]
            if not settled:
                await queue.wait(1.0)
    assert not (await exchange(queue, settled, 0)).refused
    assert sorted(done) == ["a", "b", "c", "d", "later"]
    assert (await queue.depth()).leased == 0
    await queue.close()


async def test_a_promoted_standby_goes_on_under_another_incarnation(
    postgres_server: Postgres,
) -> None:
    queue = PostgresQueue(SETTINGS, postgres_server.url)
    await queue.open("tester", ["job"])
    await queue.publish([job("a")])
    held, before = await claim_one(queue), await queue.incarnation()
    # A server with a standby.signal and no primary to follow stays in recovery until promoted.
    postgres_server.stop()
    (postgres_server._cluster / "standby.signal").touch()
    await asyncio.to_thread(postgres_server.start)
    settled = [Settlement(held, Done())]
    for _ in range(2):  # the connections that broke, and the server that is read-only
        with pytest.raises(ConnectionLostError):
            await queue.exchange(settled, 1)
    promoter = await asyncpg.connect(postgres_server.url)
    assert await promoter.fetchval("SELECT pg_promote()")
    await promoter.close()
    assert not (await exchange(queue, settled, 1)).refused
    assert await queue.incarnation() != before
    await queue.close()


def _written(ledger: Path, word: str) -> Counter[str]:
    lines = (line.split() for line in ledger.read_text().splitlines())
    return Counter(line[1] for line in lines if len(line) == 2 and line[0] == word)


async def test_the_jobs_of_a_killed_consumer_come_back(
    other: PostgresQueue, settings: QueueSettings, queue_database_url: str, tmp_path: Path
) -> None:
    ledger, kills = tmp_path / "ledger", 3
    ledger.touch()

    def spawn() -> subprocess.Popen[bytes]:
        module = "tests.integration.queue_kill_worker"
        arguments = [queue_database_url, settings.name, str(ledger)]
        return subprocess.Popen([sys.executable, "-m", module, *arguments])

    await other.publish([job(str(n)) for n in range(1000)])
    await other.close()  # it is of another kind
    for at in range(kills):
        worker = spawn()
        while _written(ledger, "ran").total() < (at + 1) * 100:
            await asyncio.sleep(0.02)
        worker.kill()
        worker.wait()
    worker = spawn()
    watcher = PostgresQueue(settings, queue_database_url)
    async with asyncio.timeout(60):
        while (depth := await watcher.depth()).ready + depth.leased:
            await asyncio.sleep(0.05)
    await watcher.close()
    worker.kill()
    worker.wait()
    ran, done = _written(ledger, "ran"), _written(ledger, "done")
    assert set(ran) == {str(n) for n in range(1000)}, "none was lost"
    assert max(done.values()) == 1, "none was settled twice"
    assert ran.total() - len(ran) <= kills * BATCH, "run twice: at most what was in flight"
    assert KILL_SETTINGS["lease_seconds"] == 3.0
