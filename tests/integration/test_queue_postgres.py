"""The queue on Postgres where it meets the server: transactions, deadlocks, wake-ups, the inbox."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from shared.errors import ConfigError, DependencyError
from shared.jobs import Job
from shared.postgres.database import PostgresDatabase
from shared.queue.factory import create_queue
from shared.queue.port import LaneLimits, Published, QueueSettings
from shared.queue.postgres.exchanger import _Left
from shared.queue.postgres.publishing import publish_in
from shared.queue.postgres.queue import PostgresQueue
from shared.queue.postgres.session import open_queue_tables
from shared.verdicts import Done
from tests.contracts.queue.harness import claim, job, keys, settle

FAR = 1 << 60


@pytest.fixture
def settings(request: pytest.FixtureRequest) -> QueueSettings:
    """A queue of the test's own."""
    return QueueSettings(name=request.node.name)


@pytest.fixture
async def queue(queue_database_url: str, settings: QueueSettings) -> AsyncIterator[PostgresQueue]:
    """A consumer."""
    queue = PostgresQueue(settings, queue_database_url)
    await queue.open("tester", ["job"])
    yield queue
    await queue.close()


@pytest.fixture
async def application(queue_database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """The user's own connection, with nothing of ours."""
    connection = await asyncpg.connect(queue_database_url)
    yield connection
    await connection.close()


async def blocked(connection: asyncpg.Connection, count: int) -> None:
    """Return once so many statements wait for a lock."""
    question = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    async with asyncio.timeout(30):
        while await connection.fetchval(question) < count:
            await asyncio.sleep(0.01)


async def test_a_queue_works_on_the_oldest_version_that_is_supported(database15_url: str) -> None:
    queue = PostgresQueue(QueueSettings(name="mail:jobs"), database15_url)
    await queue.open("tester", ["job"])
    await queue.publish([job("a"), job("b", dedup="doc-1")])
    first, second = await claim(queue)
    assert not await settle(queue, first, Done())
    assert not await settle(queue, second, Done())
    assert await queue.incarnation()
    await queue.close()


async def test_a_job_is_there_exactly_when_the_callers_transaction_is(
    queue: PostgresQueue, application: asyncpg.Connection, settings: QueueSettings
) -> None:
    undone = application.transaction()
    await undone.start()
    assert await publish_in(application, settings.name, [job("undone")]) == Published(1)
    await undone.rollback()
    async with application.transaction():
        await application.execute("CREATE TEMPORARY TABLE orders (id int)")
        published = await publish_in(
            application, settings.name, [job("a"), job("a"), Job(type="b")]
        )
        assert published == Published(2, 1)
        assert not await claim(queue), "before the commit there is nothing"
    first, second = await claim(queue)
    assert (first.job.key, second.job.type) == ("a", "b")


async def test_the_commit_wakes_a_worker(
    queue: PostgresQueue,
    application: asyncpg.Connection,
    settings: QueueSettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("shared.queue.postgres.queue.IDLE_LOOK_SECONDS", 60.0)
    async with application.transaction():
        await publish_in(application, settings.name, [job("a")])
        waiting = asyncio.create_task(queue.wait(60.0))
        await asyncio.wait([waiting], timeout=0.1)
        assert not waiting.done()
    async with asyncio.timeout(30):
        await waiting
    assert keys(await claim(queue)) == ["a"]


async def test_tables_can_be_made_before_there_is_a_queue(database_url: str) -> None:
    database = PostgresDatabase(database_url)
    await database.open()
    await open_queue_tables(database)
    async with database.transaction() as tx:
        assert await publish_in(tx.connection, "mail:jobs", [job("a")]) == Published(1)
    await database.close()


async def test_the_inbox_takes_texts_and_bytes_and_nothing_else(
    queue: PostgresQueue, application: asyncpg.Connection, settings: QueueSettings
) -> None:
    insert = "INSERT INTO worker_suite.queue_inbox (queue, message, raw) VALUES ($1, $2, $3)"
    text = '{"type": "job", "payload": {"path": "C:\\\\new", "name": "Größe"}}'
    await application.execute(insert, settings.name, text, None)
    await application.execute(insert, settings.name, None, b'{"type": "job"}')
    for both in (("{}", b"{}"), (None, None)):
        with pytest.raises(asyncpg.CheckViolationError):
            await application.execute(insert, settings.name, *both)
    first, second = await claim(queue)
    assert first.job.payload == '{"path": "C:\\\\new", "name": "Größe"}'.encode()
    assert second.job.payload == b"{}"


async def test_a_role_that_only_pushes_needs_no_other_right(
    queue: PostgresQueue, application: asyncpg.Connection, settings: QueueSettings
) -> None:
    async with application.transaction():
        await application.execute(
            "CREATE ROLE pusher; GRANT USAGE ON SCHEMA worker_suite TO pusher;"
            "GRANT INSERT ON worker_suite.queue_inbox TO pusher; SET LOCAL ROLE pusher"
        )
        await application.execute(
            "INSERT INTO worker_suite.queue_inbox (queue, message) VALUES ($1, $2)",
            settings.name,
            '{"type": "job"}',
        )
        await application.execute("RESET ROLE; DROP OWNED BY pusher; DROP ROLE pusher")
    assert len(await claim(queue)) == 1


async def test_a_publish_that_is_chosen_out_of_a_deadlock_is_repeated(
    queue: PostgresQueue,
    application: asyncpg.Connection,
    settings: QueueSettings,
    queue_database_url: str,
) -> None:
    watcher = await asyncpg.connect(queue_database_url)
    async with application.transaction():
        await application.execute("SET LOCAL deadlock_timeout = '1min'")  # so not this one
        await publish_in(application, settings.name, [job("b")])
        publishing = asyncio.create_task(queue.publish([job("a"), job("b"), job("c")]))
        await blocked(watcher, 1)
        await publish_in(application, settings.name, [job("a")])
    assert await publishing == Published(1, 2)
    assert sorted(keys(await claim(queue))) == ["a", "b", "c"]
    await watcher.close()


async def test_a_worker_that_is_no_longer_told_anything_looks_for_itself(
    queue: PostgresQueue, application: asyncpg.Connection, settings: QueueSettings
) -> None:
    assert not await claim(queue)
    assert queue._listener is not None
    await queue._listener.close()
    queue._listener._database = PostgresDatabase("postgresql://127.0.0.1:1/nowhere")
    await queue.wait(60.0)  # the end of the connection is a hint, too
    waiting = asyncio.create_task(queue.wait(60.0))
    await asyncio.wait([waiting], timeout=0.1)
    assert not waiting.done()
    await application.execute(
        "INSERT INTO worker_suite.queue_inbox (queue, message) VALUES ($1, $2)",
        settings.name,
        '{"type": "job"}',
    )
    async with asyncio.timeout(30):
        await waiting
    assert await claim(queue)


async def test_a_claim_that_finds_too_little_behind_the_last_place_begins_anew(
    queue: PostgresQueue,
) -> None:
    await queue.publish([job(key) for key in "abc"])
    exchanger = queue._exchanger
    assert exchanger is not None
    await claim(queue, 1)
    exchanger._left = _Left(None, 2, FAR)
    assert (await queue.exchange([], 0)).next_due_seconds == 0
    exchanger._left = _Left(None, 2, FAR)
    assert keys(await claim(queue, 2)) == ["b", "c"]


async def test_a_delay_that_ended_before_it_was_committed_is_found_by_the_look_at_everything(
    queue: PostgresQueue, application: asyncpg.Connection, settings: QueueSettings
) -> None:
    exchanger = queue._exchanger
    assert exchanger is not None
    await queue.publish([job("late", delay=60.0)])
    await claim(queue)
    await application.execute(
        "UPDATE worker_suite.queue_job SET due_at = now() - interval '1 h'"
        " WHERE queue_id = worker_suite.queue_number($1)",
        settings.name,
    )
    assert not await claim(queue), "the last look was later than that"
    exchanger._look_at_all_at = 0.0
    assert keys(await claim(queue)) == ["late"]


async def test_an_idle_worker_writes_nothing(
    queue: PostgresQueue, application: asyncpg.Connection, settings: QueueSettings
) -> None:
    await claim(queue)
    newest = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint"
    before = await application.fetchval(newest)
    for _ in range(20):
        await claim(queue)
    assert await application.fetchval(newest) == before, "no call took a transaction's number"


async def test_what_the_queue_cannot_do_is_refused_with_the_reason(
    queue_database_url: str,
) -> None:
    limited = QueueSettings(name="q", lane_limits={"*": LaneLimits(max_running=1)})
    queue = create_queue(limited, queue_database_url)
    with pytest.raises(ConfigError, match=r"no lanes: SKIP LOCKED"):
        await queue.open("tester", ["job"])
    with pytest.raises(ConfigError, match="no results"):
        await queue.publish([job(keep=60.0)])
    await queue.close()
    with pytest.raises(ConfigError, match="NUL"):
        create_queue(QueueSettings(name="a\x00b"), queue_database_url)


async def test_a_missing_server_is_named_without_the_password() -> None:
    queue = create_queue(QueueSettings(name="q"), "postgres://me:canary-hunter2@127.0.0.1:1/jobs")
    with pytest.raises(DependencyError, match=r"127\.0\.0\.1:1/jobs") as refused:
        await queue.open("tester", ["job"])
    assert "canary" not in str(refused.value)
    await queue.close()
