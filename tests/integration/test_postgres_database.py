"""PostgresDatabase against real servers: opening, transactions, faults."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from shared.embedded.postgres import PostgresServer
from shared.errors import (
    ConnectionLostError,
    DependencyError,
    PermanentError,
    TransientError,
)
from shared.postgres.database import PostgresDatabase
from shared.postgres.memory import MemoryTransaction
from shared.postgres.migrations import migrate
from shared.postgres.transaction import connection_of

CANARY = "canary-7f3a-password"


@pytest.fixture
async def database(any_database_url: str) -> AsyncIterator[PostgresDatabase]:
    database = PostgresDatabase(any_database_url, max_connections=4)
    await database.open()
    yield database
    await database.close()


async def _fetchval(database: PostgresDatabase, sql: str) -> object:
    async with database.connection() as connection:
        return await connection.fetchval(sql)


async def test_workers_that_open_at_once_make_one_schema(any_database_url: str) -> None:
    databases = [PostgresDatabase(any_database_url) for _ in range(6)]
    await asyncio.gather(*(database.open() for database in databases))
    applied = await _fetchval(databases[0], "SELECT count(*) FROM worker_suite.migrations")
    assert applied == 1
    await asyncio.gather(*(database.close() for database in databases))


async def test_a_transaction_commits_on_leaving_and_rolls_back_on_an_exception(
    database: PostgresDatabase,
) -> None:
    append = "SELECT outbox_append('s', ARRAY['{}'])"
    async with database.transaction() as tx:
        await connection_of(tx).execute(append.format("kept"))
    with pytest.raises(PermanentError):
        async with database.transaction() as tx:
            await connection_of(tx).execute(f"{append.format('dropped')}; SELECT 1/0")
    assert await _fetchval(database, "SELECT array_agg(id) FROM outbox") == ["kept"]


async def test_transactions_read_committed_whatever_the_database_defaults_to(
    any_database_url: str,
) -> None:
    connection = await asyncpg.connect(any_database_url)
    name = await connection.fetchval("SELECT current_database()")
    await connection.execute(
        f"ALTER DATABASE {name} SET default_transaction_isolation = 'repeatable read'"
    )
    await connection.close()
    database = PostgresDatabase(any_database_url)
    await database.open()
    async with database.transaction() as tx:
        shown = await connection_of(tx).fetchval("SHOW transaction_isolation")
    await database.close()
    assert shown == "read committed"


async def test_commits_are_flushed_even_where_the_database_turns_that_off(
    any_database_url: str,
) -> None:
    connection = await asyncpg.connect(any_database_url)
    name = await connection.fetchval("SELECT current_database()")
    await connection.execute(f"ALTER DATABASE {name} SET synchronous_commit = 'off'")
    await connection.close()
    database = PostgresDatabase(any_database_url, max_connections=1)
    await database.open()
    shown = [await _fetchval(database, "SHOW synchronous_commit") for _ in range(2)]
    await database.close()
    assert shown == ["on", "on"]


def test_a_transaction_of_another_backend_is_refused() -> None:
    with pytest.raises(TypeError, match="MemoryTransaction"):
        connection_of(MemoryTransaction())


@pytest.mark.parametrize(
    ("sql", "error"),
    [
        ("SELECT 1/0", PermanentError),
        ("SELECT * FROM no_such_table", PermanentError),
        ("SELECT pg_terminate_backend(pg_backend_pid())", ConnectionLostError),
        ("SET TRANSACTION READ ONLY; CREATE TABLE t ()", TransientError),
        ("SET LOCAL statement_timeout = 1; SELECT pg_sleep(5)", TransientError),
    ],
)
async def test_errors_of_the_server_become_the_suites_own(
    database: PostgresDatabase, sql: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        async with database.transaction() as tx:
            await connection_of(tx).execute(sql)
    assert await _fetchval(database, "SELECT 1") == 1


async def test_a_changed_column_under_a_cached_statement_is_transient(
    database: PostgresDatabase,
) -> None:
    async def read() -> list[object]:
        async with database.transaction() as tx:
            return list(await connection_of(tx).fetch("SELECT * FROM public.changing"))

    async with database.connection() as connection:
        await connection.execute("CREATE TABLE public.changing (a int)")
        await connection.execute("INSERT INTO public.changing VALUES (1)")
    await read()
    async with asyncio.TaskGroup() as group:
        group.create_task(_fetchval(database, "ALTER TABLE public.changing ADD b text"))
    with pytest.raises(TransientError):
        await read()
    assert len(await read()) == 1


def _with_password(url: str, password: str) -> str:
    scheme, _, rest = url.partition("://")
    user, _, host = rest.partition("@")
    return f"{scheme}://{user.split(':')[0]}:{password}@{host}"


async def _refusal(url: str) -> str:
    database = PostgresDatabase(url)
    with pytest.raises(DependencyError) as caught:
        await database.open()
    assert CANARY not in "".join(_chain(caught.value))
    return str(caught.value)


def _chain(error: BaseException | None) -> list[str]:
    if error is None:
        return []
    return [repr(error), *_chain(error.__cause__)]


async def test_a_wrong_password_is_refused_without_printing_it(database_url: str) -> None:
    assert "refused the login" in await _refusal(_with_password(database_url, CANARY))


async def test_a_missing_database_is_named(database_url: str) -> None:
    assert "no_such_db" in await _refusal(database_url.rpartition("/")[0] + "/no_such_db")


async def test_a_server_that_is_not_there_is_named_without_its_password() -> None:
    message = await _refusal(f"postgresql://user:{CANARY}@127.0.0.1:1/db")
    assert "127.0.0.1:1/db" in message


@pytest.mark.parametrize("url", [f"mysql://u:{CANARY}@h/d", f"postgresql://u:{CANARY}@h:x/d"])
async def test_a_url_that_cannot_be_read_is_not_printed(url: str) -> None:
    assert "DATABASE_URL" in await _refusal(url)


async def test_a_server_that_is_too_old_is_refused(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.postgres.database.OLDEST_VERSION", 99)
    assert "99 or later" in await _refusal(database_url)


async def test_a_pooler_that_drops_settings_is_refused(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PostgresDatabase, "_server_settings", lambda _: {})
    assert "session pool" in await _refusal(database_url)


async def test_a_standby_is_refused(postgres_server: PostgresServer) -> None:
    # A server with a standby.signal and no primary to follow stays in recovery.
    postgres_server.stop()
    cluster = postgres_server._cluster
    (cluster / "standby.signal").touch()
    postgres_server.start()
    assert "standby" in await _refusal(postgres_server.url)


async def test_it_reconnects_by_itself_after_a_restart(postgres_server: PostgresServer) -> None:
    database = PostgresDatabase(postgres_server.url, max_connections=2)
    await database.open()
    postgres_server.kill()
    with pytest.raises(ConnectionLostError):
        await _fetchval(database, "SELECT 1")
    postgres_server.start()
    assert await _fetchval(database, "SELECT 1") == 1
    await database.close()


async def test_what_is_under_way_when_it_closes_ends_as_a_lost_connection(
    database_url: str,
) -> None:
    database = PostgresDatabase(database_url)
    await database.open()
    asleep = asyncio.create_task(_fetchval(database, "SELECT pg_sleep(60)"))
    while not await _fetchval(
        database, "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
    ):
        assert not asleep.done()
    await database.close()
    with pytest.raises(ConnectionLostError):
        await asleep


async def test_a_migration_is_applied_once_and_all_or_none(
    database: PostgresDatabase, tmp_path: Path
) -> None:
    (tmp_path / "0001_a.sql").write_text("CREATE TABLE worker_suite.a (); ")
    (tmp_path / "0002_b.sql").write_text("CREATE TABLE worker_suite.b (); SELECT 1/0")
    with pytest.raises(PermanentError):
        await migrate(database, "mine", tmp_path)
    assert await _fetchval(database, "SELECT to_regclass('worker_suite.a')") is None
    (tmp_path / "0002_b.sql").write_text("CREATE TABLE worker_suite.b ()")
    await migrate(database, "mine", tmp_path)
    await migrate(database, "mine", tmp_path)
    assert await _fetchval(database, "SELECT to_regclass('worker_suite.b')") is not None


async def test_a_migration_changed_after_it_was_applied_is_refused(
    database: PostgresDatabase, tmp_path: Path
) -> None:
    (tmp_path / "0001_a.sql").write_text("CREATE TABLE worker_suite.a ()")
    await migrate(database, "mine", tmp_path)
    (tmp_path / "0001_a.sql").write_text("CREATE TABLE worker_suite.a (b int)")
    with pytest.raises(DependencyError, match=r"mine/0001_a\.sql"):
        await migrate(database, "mine", tmp_path)
