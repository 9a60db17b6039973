"""The relay on real servers: killed between publish and move, queues that lose jobs, restarts."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from shared.documents.port import DocumentWrite
from shared.documents.postgres import PostgresDocumentStore
from shared.embedded.postgres import PostgresServer
from shared.embedded.valkey import ValkeyServer
from shared.errors import TransientError
from shared.observability.metrics import MetricsTable
from shared.postgres.database import PostgresDatabase
from shared.queue.factory import create_queue
from shared.queue.port import Queue, QueueSettings
from shared.redis.client import connect
from shared.redis.server import incarnation
from shared.verdicts import Done, Settlement
from sync.metrics import SyncMetrics
from sync.outbox_watch import OutboxWatch
from sync.relay import Relay
from sync.sources.outbox import OutboxSource
from sync.sources.port import QueueIdentity
from sync.targets.index_jobs import IndexJobs

NAME = "indexer:jobs"

_versions = iter(range(10**9))


class Relaying:
    """Postgres, Redis, and a relay between them."""

    def __init__(self, database_url: str, redis_url: str) -> None:
        self.database = PostgresDatabase(database_url, max_connections=6)
        self.store = PostgresDocumentStore(self.database)
        self.source = OutboxSource(self.database)
        self.queue: Queue = create_queue(QueueSettings(name=NAME), redis_url)
        self.redis = connect(redis_url)
        self.metrics = SyncMetrics(MetricsTable())
        self.target = IndexJobs(self.queue, self.metrics)
        self.relay = Relay(
            self.source, self.target.publish, self.identify, self.metrics,
            batch=100, poll_seconds=0.2,
        )  # fmt: skip

    async def open(self) -> None:
        await self.database.open()
        await self.store.open()
        await self.queue.open("indexer", ["index_document"])

    async def close(self) -> None:
        await self.source.close()
        await self.queue.close()
        await self.redis.aclose()
        await self.database.close()

    async def identify(self) -> QueueIdentity:
        return QueueIdentity(NAME, await incarnation(self.redis))

    async def change(self, *ids: str) -> None:
        content_hash = next(_versions).to_bytes(16, "big")
        async with self.database.transaction() as tx:
            await self.store.put(tx, [DocumentWrite(each, b"{}", content_hash) for each in ids])

    async def jobs(self) -> list[str]:
        """Take all jobs off the queue, as worker-indexer does; return the documents they name."""
        taken: list[str] = []
        settled: list[Settlement] = []
        while True:
            exchange = await self.queue.exchange(settled, 100)
            if not exchange.deliveries:
                return sorted(taken)
            taken += [each.job.id for each in exchange.deliveries]
            settled = [Settlement(each, Done()) for each in exchange.deliveries]

    async def waiting(self) -> int:
        return (await self.queue.depth()).ready


async def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


@pytest.fixture
async def relaying(database_url: str, any_redis_url: str) -> AsyncIterator[Relaying]:
    relaying = Relaying(database_url, any_redis_url)
    await relaying.open()
    yield relaying
    await relaying.close()


async def test_changes_become_jobs_and_fold_while_they_wait(relaying: Relaying) -> None:
    await relaying.change("a", "b")
    assert await relaying.relay.step() == 2
    await relaying.change("a")
    assert await relaying.relay.step() == 1
    assert await relaying.jobs() == ["a", "b"]
    await relaying.change("a")
    await relaying.relay.step()
    assert await relaying.jobs() == ["a"]


async def test_it_relays_until_it_is_told_to_stop(relaying: Relaying) -> None:
    stop = asyncio.Event()
    running = asyncio.create_task(relaying.relay.run(stop))
    for number in range(5):
        await relaying.change(f"doc-{number}")
    async with asyncio.timeout(30):
        while await relaying.waiting() < 5:
            await asyncio.sleep(0.02)
        stop.set()
        await running


async def test_it_stops_at_once_while_it_sleeps(relaying: Relaying) -> None:
    relay = Relay(
        relaying.source, relaying.target.publish, relaying.identify, relaying.metrics,
        batch=100, poll_seconds=60,
    )  # fmt: skip
    stop = asyncio.Event()
    running = asyncio.create_task(relay.run(stop))
    await relaying.change("a")
    async with asyncio.timeout(30):
        while not await relaying.waiting():
            await asyncio.sleep(0.02)
        stop.set()
        await running


async def test_a_queue_that_lost_its_jobs_gets_the_window_again(relaying: Relaying) -> None:
    await relaying.change("a", "b")
    await relaying.relay.step()
    await relaying.redis.flushall()
    again = Relay(
        relaying.source, relaying.target.publish, relaying.identify, relaying.metrics,
        batch=100, poll_seconds=0.2,
    )  # fmt: skip
    await again.step()
    assert await relaying.jobs() == ["a", "b"]
    await again.step()
    assert await relaying.jobs() == []


async def test_what_another_relay_publishes_to_a_lost_queue_is_replayed_too(
    relaying: Relaying,
) -> None:
    """A replay waits for publishes under way: their rows are not in outbox_sent yet."""
    await relaying.relay.step()
    await relaying.change("a")
    published, go_on = asyncio.Event(), asyncio.Event()

    async def publish_slowly(keys: object) -> None:
        await relaying.target.publish(keys)  # type: ignore[arg-type]
        published.set()
        await go_on.wait()

    relays = asyncio.create_task(relaying.source.relay(publish_slowly, 10))
    await published.wait()
    await relaying.redis.flushall()
    healing = asyncio.create_task(
        relaying.source.replay(relaying.target.publish, await relaying.identify())
    )
    await _until_blocked(relaying)
    go_on.set()
    assert await relays == 1
    assert await healing == 1
    assert await relaying.jobs() == ["a"]


async def _until_blocked(relaying: Relaying) -> None:
    async with asyncio.timeout(30), relaying.database.connection() as connection:
        while not await connection.fetchval(
            "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"
        ):
            await asyncio.sleep(0.02)


KILLED_RELAY = """
import asyncio, sys
from shared.postgres.database import PostgresDatabase
from shared.queue.factory import create_queue
from shared.queue.port import QueueSettings
from shared.observability.metrics import MetricsTable
from sync.metrics import SyncMetrics
from sync.sources.outbox import OutboxSource
from sync.targets.index_jobs import IndexJobs

async def main(database_url, redis_url, publish_seconds):
    database = PostgresDatabase(database_url)
    await database.open()
    target = IndexJobs(
        create_queue(QueueSettings(name="indexer:jobs"), redis_url), SyncMetrics(MetricsTable()))

    async def publish_and_hang(keys):
        await target.publish(keys)
        print("published", flush=True)
        await asyncio.Event().wait()

    source = OutboxSource(database, publish_seconds=float(publish_seconds))
    await source.relay(publish_and_hang, 10)

asyncio.run(main(*sys.argv[1:]))
"""


async def _relay_that_hangs(
    database_url: str, redis_url: str, publish_seconds: float
) -> asyncio.subprocess.Process:
    """Start a relay that has published and does not move its rows."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", KILLED_RELAY, database_url, redis_url, str(publish_seconds),
        stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert child.stdout is not None
    assert await child.stdout.readline() == b"published\n"
    return child


async def test_a_relay_killed_between_publish_and_move_publishes_again(
    database_url: str, redis_url: str
) -> None:
    relaying = Relaying(database_url, redis_url)
    await relaying.open()
    await relaying.change("a", "b")
    child = await _relay_that_hangs(database_url, redis_url, publish_seconds=60.0)
    assert await relaying.source.relay(relaying.target.publish, 10) == 0
    child.kill()
    await child.wait()
    assert await relaying.jobs() == ["a", "b"]
    async with asyncio.timeout(30):
        # The server notices the death of the connection, and the rows are free.
        while not await relaying.source.relay(relaying.target.publish, 10):
            await asyncio.sleep(0.02)
    assert await relaying.jobs() == ["a", "b"]
    await relaying.close()


async def test_a_publish_that_hangs_lets_the_rows_go(relaying: Relaying) -> None:
    impatient = OutboxSource(relaying.database, publish_seconds=0.1)
    await relaying.change("a")

    async def hang(_: object) -> None:
        await asyncio.Event().wait()

    with pytest.raises(TransientError, match=r"did not take 1 jobs in 0\.1 s"):
        await impatient.relay(hang, 10)
    assert await relaying.source.relay(relaying.target.publish, 10) == 1
    await impatient.close()


async def test_the_server_ends_the_transaction_of_a_relay_that_stopped_moving(
    database_url: str, redis_url: str
) -> None:
    relaying = Relaying(database_url, redis_url)
    await relaying.open()
    await relaying.change("a")
    child = await _relay_that_hangs(database_url, redis_url, publish_seconds=1.0)
    child.send_signal(signal.SIGSTOP)
    async with asyncio.timeout(20):
        while not await relaying.source.relay(relaying.target.publish, 10):
            await asyncio.sleep(0.05)
    child.kill()
    await child.wait()
    await relaying.close()


async def test_postgres_restarts_during_the_relay(
    postgres_server: PostgresServer, redis_url: str
) -> None:
    relaying = Relaying(postgres_server.url, redis_url)
    await relaying.open()
    stop = asyncio.Event()
    running = asyncio.create_task(relaying.relay.run(stop))
    watching = asyncio.create_task(
        OutboxWatch(relaying.source.depth, relaying.metrics, every_seconds=0.1).run(stop)
    )
    await relaying.change(*(f"early-{n}" for n in range(10)))
    postgres_server.kill()
    await asyncio.to_thread(postgres_server.start)
    await relaying.change("late")
    wanted = {"late", *(f"early-{n}" for n in range(10))}
    seen: set[str] = set()
    async with asyncio.timeout(30):
        while not wanted <= seen:
            seen.update(await relaying.jobs())
            await asyncio.sleep(0.02)
    stop.set()
    await asyncio.gather(running, watching)
    await relaying.close()


async def test_redis_restarts_during_the_relay(
    database_url: str, redis7_server: ValkeyServer
) -> None:
    relaying = Relaying(database_url, redis7_server.url)
    await relaying.open()
    stop = asyncio.Event()
    running = asyncio.create_task(relaying.relay.run(stop))
    redis7_server.stop()
    await relaying.change("a", "b")
    await asyncio.to_thread(redis7_server.start)
    seen: set[str] = set()
    async with asyncio.timeout(30):
        while seen != {"a", "b"}:
            seen.update(await relaying.jobs())
            await asyncio.sleep(0.02)
    stop.set()
    await running
    await relaying.close()


async def test_partitions_outside_of_the_replay_window_are_dropped(relaying: Relaying) -> None:
    await relaying.change("a")
    await relaying.relay.step()
    async with relaying.database.connection() as connection:
        await connection.execute(
            "CREATE TABLE worker_suite.outbox_sent_1 PARTITION OF worker_suite.outbox_sent"
            " FOR VALUES FROM (to_timestamp(600)) TO (to_timestamp(1200));"
            "INSERT INTO worker_suite.outbox_sent VALUES ('documents', 'old', to_timestamp(700))"
        )
        restarted = OutboxSource(relaying.database)
        await restarted.relay(relaying.target.publish, 10)
        await restarted.close()
        left = await connection.fetch("SELECT id FROM worker_suite.outbox_sent")
        partitions = await connection.fetchval(
            "SELECT count(*) FROM pg_inherits"
            " WHERE inhparent = 'worker_suite.outbox_sent'::regclass"
        )
    assert [row["id"] for row in left] == ["a"]
    assert partitions == 2


async def test_nothing_older_than_the_window_is_published_again(relaying: Relaying) -> None:
    await relaying.change("a")
    await relaying.relay.step()
    forgetful = OutboxSource(relaying.database, replay_window_seconds=0.0)
    assert await forgetful.replay(relaying.target.publish) == 0
    assert await relaying.source.replay(relaying.target.publish) == 1


async def test_depth_and_lag_are_seen(relaying: Relaying) -> None:
    empty = await relaying.source.depth()
    assert (empty.depth, empty.oldest_age_seconds) == (0, 0.0)
    assert await relaying.source.last_relay_seconds_ago() is None
    await relaying.change("a", "b")
    depth = await relaying.source.depth()
    assert depth.depth == 2
    assert 0 < depth.oldest_age_seconds < 60
    await relaying.relay.step()
    ago = await relaying.source.last_relay_seconds_ago()
    assert ago is not None
    assert 0 <= ago < 60


async def test_it_listens_again_after_its_listening_connection_was_lost(
    relaying: Relaying,
) -> None:
    ended = 0
    async with asyncio.timeout(30):
        while not ended:
            await relaying.source.wait(0.2)
            async with relaying.database.connection() as connection:
                ended = await connection.fetchval(
                    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                    " WHERE query LIKE 'LISTEN%' AND datname = current_database()"
                )
    for _ in range(3):
        # The wake-ups that come with the loss, and with the new connection.
        await relaying.source.wait(0.2)
    waiting = asyncio.create_task(_until_relayed(relaying))
    await relaying.change("a")
    async with asyncio.timeout(30):
        await waiting


async def _until_relayed(relaying: Relaying) -> None:
    while not await relaying.source.relay(relaying.target.publish, 10):
        await relaying.source.wait(60)


async def test_a_busy_relay_spares_writers_the_notification(relaying: Relaying) -> None:
    async def asleep() -> object:
        async with relaying.database.connection() as connection:
            return await connection.fetchval("SELECT asleep FROM worker_suite.outbox_relay")

    await relaying.change("a", "b")
    await relaying.source.relay(relaying.target.publish, 2)
    assert await asleep() is False
    await relaying.source.wait(0.01)
    assert await asleep() is True
