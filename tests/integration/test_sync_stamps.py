"""The reader's stamp against real servers: bursts of racing writers, reconcilers and a backfill.

After each burst, when all changes have been processed, the target must hold what the tables hold.
Two nearby disciplines run in the same bursts and must fail, or the test proves nothing.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import Any

import asyncpg
import pytest

import shared.documents.postgres as store_module
from shared.documents.port import DocumentKey, StampedRead
from shared.documents.postgres import PostgresDocumentStore
from shared.documents.stamps import draw_stamp, era_of
from shared.embedded.postgres import PostgresServer
from shared.errors import TransientError
from shared.postgres.database import PostgresDatabase
from shared.postgres.transaction import connection_of
from sync.sources.outbox import OutboxSource
from sync.triggers.installer import Installer
from tests.integration.sync_world import RECIPES, TABLES, Target

IDS = tuple(str(number) for number in range(1, 11))
WRITERS, WRITES_EACH, RECONCILERS = 10, 2, 6
CRASHES = 0.15
LONGEST_PAUSE_SECONDS = 0.06

WRITES = [
    "INSERT INTO shop.recipes VALUES ({id}, '{text}') ON CONFLICT DO NOTHING",
    "INSERT INTO shop.recipes VALUES ({id}, '{text}') ON CONFLICT (id) DO UPDATE SET title = 'x'",
    "UPDATE shop.recipes SET title = '{text}' WHERE id = {id}",
    "DELETE FROM shop.recipes WHERE id = {id}",
    "INSERT INTO shop.steps (recipe_id, text) VALUES ({id}, '{text}')",
    "UPDATE shop.steps SET recipe_id = {id} WHERE recipe_id = {id} + 1",
    "DELETE FROM shop.steps WHERE recipe_id = {id}",
]


class Race:
    """One way of reconciling, in bursts of changes."""

    def __init__(self, database: PostgresDatabase, dice: random.Random) -> None:
        self.database = database
        self.store = PostgresDocumentStore(database)
        self.changes = OutboxSource(database)
        self.target = Target()
        self.dice = dice
        self.waiting: set[str] = set()
        self.writing = 0

    async def pause(self) -> None:
        # Mostly short and now and then long: so that one overtakes the other.
        await asyncio.sleep(self.dice.random() ** 8 * LONGEST_PAUSE_SECONDS)

    async def burst(self) -> bool:
        """Write, relay and reconcile at once until all is quiet; tell whether both sides agree."""
        self.writing = WRITERS
        async with asyncio.TaskGroup() as group:
            for _ in range(WRITERS):
                group.create_task(self.write())
            relaying = group.create_task(self.relay())
            for _ in range(RECONCILERS):
                group.create_task(self.reconcile(relaying))
            group.create_task(self.backfill())
        return self.target.live("recipes") == await self.truth()

    async def write(self) -> None:
        for _ in range(WRITES_EACH):
            sql = self.dice.choice(WRITES).format(
                id=self.dice.choice(IDS), text=self.dice.randrange(10**9)
            )
            # Two writers may deadlock on rows of the user's; theirs to repeat, not ours.
            with suppress(TransientError, _RolledBack):
                async with self.database.transaction() as tx:
                    await connection_of(tx).execute(sql)
                    await self.pause()
                    if self.dice.random() < 0.2:
                        raise _RolledBack
        self.writing -= 1

    async def relay(self) -> None:
        async def publish(keys: Sequence[DocumentKey]) -> None:
            self.waiting.update(key.id for key in keys)

        # Writers are asked first: what they committed before they ended is relayed in any case.
        while self.writing or await self.changes.relay(publish, 100):
            await self.changes.relay(publish, 100)
            await self.pause()

    async def reconcile(self, relaying: asyncio.Task[None]) -> None:
        while self.waiting or not relaying.done():
            early = await self.before_taking()
            ids = [self.waiting.pop() for _ in range(min(len(self.waiting), 2))]
            if ids:
                read = await self.read(ids, early)
                await self.pause()
                if self.dice.random() < CRASHES:
                    self.waiting.update(ids)
                    if self.dice.random() < 0.5:
                        continue
                self.write_to_target(read)
            await self.pause()

    async def backfill(self) -> None:
        for key in await self.store.keys_after("recipes", None, 100):
            read = await self.read([key], await self.before_taking())
            await self.pause()
            self.write_to_target(read)

    def write_to_target(self, read: StampedRead) -> None:
        for document in read.documents:
            self.target.write(DocumentKey("recipes", document.id), read.stamp, document.body)

    async def truth(self) -> dict[str, Any]:
        fresh = Target()
        read = await self.store.read("recipes", IDS)
        for document in read.documents:
            fresh.write(DocumentKey("recipes", document.id), read.stamp, document.body)
        return fresh.live("recipes")

    async def before_taking(self) -> int:
        return 0

    async def read(self, ids: Sequence[str], early: int) -> StampedRead:
        """See the change, draw, read: the store's own way."""
        return await self.store.read("recipes", ids)

    async def draw(self) -> int:
        async with self.database.connection() as connection:
            return await draw_stamp(connection)


class ReadFirst(Race):
    """A control: reads, and draws afterwards."""

    async def read(self, ids: Sequence[str], early: int) -> StampedRead:
        read = await self.store.read("recipes", ids)
        await self.pause()
        return StampedRead(await self.draw(), read.documents)


class DrawEarly(Race):
    """A control: draws before it has seen the change."""

    async def before_taking(self) -> int:
        stamp = await self.draw()
        await self.pause()
        return stamp

    async def read(self, ids: Sequence[str], early: int) -> StampedRead:
        return StampedRead(early, (await self.store.read("recipes", ids)).documents)


class _RolledBack(Exception):
    """A user's transaction that changes its mind."""


@pytest.fixture
async def database(any_database_url: str) -> AsyncIterator[PostgresDatabase]:
    application = await asyncpg.connect(any_database_url)
    await application.execute(TABLES)
    await application.close()
    database = PostgresDatabase(any_database_url, max_connections=20)
    await database.open()
    await PostgresDocumentStore(database).open()
    await Installer(database).install(RECIPES)
    yield database
    await database.close()


async def diverges(race: Race, seconds: float) -> bool:
    """Tell whether the two sides differ after any burst of the next `seconds`."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        if not await race.burst():
            return True
    return False


async def test_the_target_agrees_after_every_burst(
    database: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    race = Race(database, random.Random(20))

    async def draw_and_dawdle(connection: asyncpg.Connection) -> int:
        stamp = await draw_stamp(connection)
        await race.pause()
        return stamp

    monkeypatch.setattr(store_module, "draw_stamp", draw_and_dawdle)
    assert not await diverges(race, 10)


@pytest.mark.parametrize("control", [ReadFirst, DrawEarly])
async def test_the_nearby_mistakes_diverge(database: PostgresDatabase, control: type[Race]) -> None:
    # About one burst in twenty does, so that it takes seconds; the rest is for slow machines.
    assert await diverges(control(database, random.Random(20)), 50)


async def _sequence_was_cached(database: PostgresDatabase) -> int:
    async with database.connection() as connection:
        return int(
            await connection.fetchval(
                "SELECT seqcache FROM pg_sequence WHERE seqrelid = 'worker_suite.stamp'::regclass"
            )
        )


async def test_no_session_keeps_stamps_in_reserve(database: PostgresDatabase) -> None:
    assert await _sequence_was_cached(database) == 1


async def test_a_batch_carries_one_stamp_and_the_next_a_higher_one(
    database: PostgresDatabase,
) -> None:
    store = PostgresDocumentStore(database)
    first = await store.read("recipes", IDS)
    second = await store.read("documents", IDS)
    assert second.stamp == first.stamp + 1


@pytest.mark.parametrize(
    "fork",
    [
        "UPDATE worker_suite.stamp_era SET history = 'before the restore'",
        "DROP SEQUENCE worker_suite.stamp; CREATE SEQUENCE worker_suite.stamp",
    ],
    ids=["another history", "another sequence"],
)
async def test_the_era_rises_once_when_the_history_forks(
    database: PostgresDatabase, fork: str
) -> None:
    store = PostgresDocumentStore(database)
    before = (await store.read("documents", [])).stamp
    async with database.connection() as connection:
        await connection.execute(fork)
    after = await asyncio.gather(*(store.read("documents", []) for _ in range(8)))
    assert {era_of(read.stamp) for read in after} == {era_of(before) + 1}
    assert min(read.stamp for read in after) > before


async def test_the_era_rises_when_a_standby_is_promoted_under_a_running_worker(
    postgres_server: PostgresServer,
) -> None:
    database = PostgresDatabase(postgres_server.url)
    await database.open()
    store = PostgresDocumentStore(database)
    await store.open()
    before = (await store.read("documents", [])).stamp
    # A server with a standby.signal and no primary to follow stays in recovery until promoted.
    postgres_server.stop()
    (postgres_server._cluster / "standby.signal").touch()
    await asyncio.to_thread(postgres_server.start)
    with pytest.raises(TransientError, match=r"read-only|recovery"):
        await store.read("documents", [])
    async with database.connection() as connection:
        assert await connection.fetchval("SELECT pg_promote()")
    after = (await store.read("documents", [])).stamp
    assert era_of(after) == era_of(before) + 1
    await database.close()
