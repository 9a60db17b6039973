"""Jobs published in a transaction reach the queue exactly when it commits, and come back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import msgspec
import pytest
import redis

from shared.errors import ConfigError, ConnectionLostError
from shared.job_outbox.publish import open_job_outbox, publish_in
from shared.job_outbox.relay import JobRelay
from shared.jobs import Job, Priority, new_job
from shared.postgres.database import PostgresDatabase
from shared.queue.factory import create_queue
from shared.queue.port import Published, Queue, QueueSettings
from shared.verdicts import Done, Settlement

NAME = "mail:jobs"


@pytest.fixture
async def database(any_database_url: str) -> AsyncIterator[PostgresDatabase]:
    opened = PostgresDatabase(any_database_url)
    await opened.open()
    await open_job_outbox(opened)
    yield opened
    await opened.close()


@pytest.fixture
async def application(any_database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """The user's own connection, with nothing of ours."""
    connection = await asyncpg.connect(any_database_url)
    await connection.execute("CREATE TABLE orders (id int)")
    yield connection
    await connection.close()


@pytest.fixture
async def queue(redis_url: str) -> AsyncIterator[Queue]:
    opened = create_queue(QueueSettings(name=NAME), redis_url)
    await opened.open("mail", ["send"])
    yield opened
    await opened.close()


@pytest.fixture
def relay(database: PostgresDatabase, queue: Queue) -> JobRelay:
    return JobRelay(database, NAME, queue)


async def arrived(queue: Queue) -> list[Job]:
    """Claim and finish everything."""
    jobs: list[Job] = []
    settled: list[Settlement] = []
    while True:
        answer = await queue.exchange(settled, 100)
        if not answer.deliveries:
            return jobs
        jobs += [each.job for each in answer.deliveries]
        settled = [Settlement(each, Done()) for each in answer.deliveries]


async def test_a_job_arrives_whole_when_its_transaction_commits(
    application: asyncpg.Connection, relay: JobRelay, queue: Queue
) -> None:
    sent = new_job("send", {"to": "\u00e4"}, id="7", priority=Priority.HIGH, headers=(("a", "b"),))
    async with application.transaction():
        await application.execute("INSERT INTO orders VALUES (1)")
        await publish_in(application, NAME, [sent])
        assert await relay.step() == 0, "nobody sees it before the commit"
    assert await relay.step() == 1
    assert await relay.step() == 0
    assert await arrived(queue) == [sent]


async def test_a_transaction_that_fails_publishes_nothing(
    application: asyncpg.Connection, relay: JobRelay, queue: Queue
) -> None:
    transaction = application.transaction()
    await transaction.start()
    await publish_in(application, NAME, [new_job("send", {})])
    await transaction.rollback()
    assert await relay.step() == 0
    assert not await arrived(queue)


async def test_any_language_publishes_by_a_function(
    application: asyncpg.Connection, relay: JobRelay, queue: Queue
) -> None:
    payload = {"text": "x" * 500}
    key = await application.fetchval(
        "SELECT worker_suite.publish_job($1, 'send', $2, $3)",
        NAME,
        msgspec.json.encode(payload).decode(),
        '{"id": "7", "priority": 0}',
    )
    await relay.step()
    (job,) = await arrived(queue)
    assert (job.key, job.type, job.id, job.priority) == (key, "send", "7", Priority.HIGH)
    assert msgspec.json.decode(job.payload) == payload


async def test_jobs_keep_their_order_and_their_queue(
    application: asyncpg.Connection, relay: JobRelay, queue: Queue
) -> None:
    jobs = [new_job("send", n) for n in range(2_500)]
    keys = await publish_in(application, NAME, jobs)
    await publish_in(application, "other:jobs", [new_job("send", "other")])
    while await relay.step():
        pass
    assert [job.key for job in await arrived(queue)] == keys == [job.key for job in jobs]


async def test_relays_side_by_side_take_each_job_once(
    application: asyncpg.Connection, database: PostgresDatabase, queue: Queue
) -> None:
    await publish_in(application, NAME, [new_job("send", n) for n in range(300)])
    relays = [JobRelay(database, NAME, queue, batch=20) for _ in range(4)]
    while sum(await asyncio.gather(*(each.step() for each in relays))):
        pass
    assert len(await arrived(queue)) == 300


class Broken:
    """A queue that goes away once, after it has taken the jobs."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self.incarnation = queue.incarnation
        self.broken = False

    async def publish(self, jobs: list[Job]) -> Published:
        published = await self._queue.publish(jobs)
        if not self.broken:
            self.broken = True
            raise ConnectionLostError("gone")
        return published


async def test_a_publish_that_was_cut_is_repeated_and_harmless(
    application: asyncpg.Connection, database: PostgresDatabase, queue: Queue
) -> None:
    await publish_in(application, NAME, [new_job("send", n) for n in range(5)])
    relay = JobRelay(database, NAME, Broken(queue))  # type: ignore[arg-type]
    with pytest.raises(ConnectionLostError):
        await relay.step()
    assert await relay.step() == 5
    assert len(await arrived(queue)) == 5


async def test_a_queue_that_lost_its_data_gets_the_window_again(
    application: asyncpg.Connection, relay: JobRelay, queue: Queue, redis_url: str
) -> None:
    jobs = [new_job("send", n) for n in range(5)]
    await publish_in(application, NAME, jobs)
    await relay.step()
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
    relay._ask_at = 0.0
    await relay.step()
    assert [job.key for job in await arrived(queue)] == [job.key for job in jobs]
    relay._ask_at = 0.0
    await relay.step()
    assert not await arrived(queue), "once for each loss"


async def test_what_is_older_than_the_window_is_forgotten(
    application: asyncpg.Connection, database: PostgresDatabase, queue: Queue
) -> None:
    relay = JobRelay(database, NAME, queue, replay_window_seconds=0.0)
    await publish_in(application, NAME, [new_job("send", {})])
    await relay.step()
    relay._forget_at = 0.0
    await relay.step()
    assert not await application.fetchval("SELECT count(*) FROM worker_suite.job_outbox_sent")


async def test_a_job_that_no_queue_can_take_holds_up_nobody(
    application: asyncpg.Connection, relay: JobRelay, queue: Queue
) -> None:
    bad = new_job("send", {}, dedup_key="x" * 70_000)
    good = [new_job("send", n) for n in range(3)]
    await publish_in(application, NAME, [good[0], bad, *good[1:]])
    await application.execute(
        "INSERT INTO worker_suite.job_outbox (queue, job) VALUES ($1, '{}')", NAME
    )
    await relay.step()
    assert [job.key for job in await arrived(queue)] == [job.key for job in good]
    refused = await application.fetch("SELECT reason FROM worker_suite.job_outbox_refused")
    assert len(refused) == 2
    assert any("at most 65535 bytes" in row["reason"] for row in refused)


class Poorer:
    """Another broker, which cannot deduplicate; it counts what it is asked."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self.calls = 0

    async def incarnation(self) -> str:
        return "another"

    async def publish(self, jobs: list[Job]) -> Published:
        self.calls += 1
        if any(job.dedup_key for job in jobs):
            raise ConfigError("this broker has no deduplication")
        return await self._queue.publish(jobs)


async def test_what_another_broker_can_never_take_does_not_hold_up_its_replay(
    application: asyncpg.Connection, database: PostgresDatabase, relay: JobRelay, queue: Queue
) -> None:
    jobs = [new_job("send", n, dedup_key="d" if n == 77 else "") for n in range(250)]
    await publish_in(application, NAME, jobs)
    await relay.step()
    await application.execute(
        "INSERT INTO worker_suite.job_outbox_sent (seq, queue, job) VALUES (0, $1, '{}')", NAME
    )
    await arrived(queue)
    poorer = Poorer(queue)
    other = JobRelay(database, NAME, poorer, batch=100)  # type: ignore[arg-type]
    await publish_in(application, NAME, [fresh := new_job("send", "fresh")])
    assert await other.step() == 1
    good = [job.key for job in jobs if not job.dedup_key]
    assert [job.key for job in await arrived(queue)] == [*good, fresh.key]
    assert poorer.calls < 40, "what is refused is found by halves"
    refused = await application.fetch("SELECT reason FROM worker_suite.job_outbox_refused")
    assert len(refused) == 2
    other._incarnation = ""  # as it is when the service starts
    other._ask_at = 0.0
    await other.step()
    assert not await arrived(queue), "the replay is over"
    assert await application.fetchval("SELECT count(*) FROM worker_suite.job_outbox_sent") == 250


async def test_the_service_relays_until_it_is_stopped(
    application: asyncpg.Connection, relay: JobRelay, queue: Queue
) -> None:
    stop = asyncio.Event()
    running = asyncio.create_task(relay.run(stop))
    await publish_in(application, NAME, [new_job("send", {})])
    async with asyncio.timeout(10):
        while not (await queue.depth()).ready:
            await queue.wait(0.1)
    stop.set()
    await running
