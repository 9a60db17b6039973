"""Reindex and verify, on the in-memory adapters."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import pytest

from indexer.generations import roll_back
from indexer.reconcile import Reconciled, Reconciler
from indexer.reindex import PAGE, Reindex
from indexer.search.port import IndexWrite, Outcome, Refusal, SearchQuery, WriteOutcome
from indexer.search.tantivy.engine import TantivyEngine
from indexer.verify import verify
from shared.documents.memory import MemoryDocumentStore
from shared.documents.port import DocumentKey, DocumentWrite, StampedRead
from shared.errors import ConfigError, DependencyError
from shared.postgres.memory import MemoryDatabase


class InterruptedIndex(TantivyEngine):
    """Does something of the test's in the middle of a backfill, once."""

    def __init__(self) -> None:
        super().__init__(None)
        self.refuse = ""
        self.answers: list[Outcome] = []

    async def write_generation(
        self, number: int, batch: Sequence[IndexWrite]
    ) -> Sequence[WriteOutcome]:
        if self.answers:
            return [WriteOutcome(self.answers.pop(0), "planted")] * len(batch)
        taken = [write for write in batch if write.key.id != self.refuse]
        written = iter(await super().write_generation(number, taken))
        return [
            WriteOutcome(Outcome.REFUSED, "planted") if write.key.id == self.refuse
            else next(written)
            for write in batch
        ]  # fmt: skip


class OvertakenStore(MemoryDocumentStore):
    """Lets the world go on between a read and what its reader does next, once."""

    def __init__(self, database: MemoryDatabase) -> None:
        super().__init__(database)
        self.meanwhile: Callable[[], Awaitable[None]] | None = None

    async def read(self, source: str, ids: Sequence[str]) -> StampedRead:
        found = await super().read(source, ids)
        if self.meanwhile is not None:
            meanwhile, self.meanwhile = self.meanwhile, None
            await meanwhile()
        return found


class World:
    """A store and an index, in step or not."""

    def __init__(self) -> None:
        self.database = MemoryDatabase()
        self.store = OvertakenStore(self.database)
        self.index = InterruptedIndex()
        self.progress: list[int] = []

    def reindex(self) -> Reindex:
        return Reindex(self.store, self.index, self.progress.append)

    async def put(self, *names: str) -> None:
        async with self.database.transaction() as tx:
            writes = [DocumentWrite(name, b'{"title":"plum"}', b"h") for name in names]
            await self.store.put(tx, writes)

    async def reconcile(self, *names: str) -> dict[str, Reconciled]:
        return await Reconciler(self.store, self.index).reconcile("documents", names)

    async def remove(self, *names: str) -> None:
        async with self.database.transaction() as tx:
            await self.store.remove(tx, names)

    async def live(self) -> int:
        return next(g.number for g in await self.index.generations() if g.live)

    async def hits(self) -> int:
        return (await self.index.search(SearchQuery(text="plum"))).total


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    await world.index.open()
    yield world
    await world.index.close()


async def test_the_next_generation_gets_every_document_and_is_searched(world: World) -> None:
    await world.put(*(f"d{n}" for n in range(2 * PAGE + 7)))
    report = await world.reindex().run(keep_old=True)
    assert report.swapped
    assert (report.generation, report.documents, report.dropped) == (2, 2 * PAGE + 7, [])
    assert sum(world.progress) == 2 * PAGE + 7
    assert await world.live() == 2
    assert await world.hits() == 2 * PAGE + 7


async def test_the_old_generation_follows_and_can_be_searched_again(world: World) -> None:
    await world.reconcile()
    await world.put("a")
    await world.reconcile("a")
    await world.reindex().run(keep_old=True)
    await world.put("b")
    await world.reconcile("b")
    assert await roll_back(world.index) == 1
    assert await world.hits() == 2
    with pytest.raises(ConfigError, match="no generation before 1"):
        await roll_back(world.index)


async def test_the_old_generation_can_be_dropped_at_once(world: World) -> None:
    report = await world.reindex().run(keep_old=False)
    assert report.dropped == [1]
    assert [g.number for g in await world.index.generations()] == [2]


async def test_what_earlier_runs_left_is_dropped_first(world: World) -> None:
    await world.reindex().run(keep_old=True)
    await world.index.create_generation()  # as a killed run leaves it
    report = await world.reindex().run(keep_old=True)
    assert report.dropped == [1, 3]
    assert [g.number for g in await world.index.generations()] == [2, 3]


async def test_a_document_that_the_candidate_refuses_blocks_the_swap(world: World) -> None:
    await world.put("a", "bad", "c")
    await world.reconcile("a", "bad", "c")
    world.index.refuse = "bad"
    report = await world.reindex().run(keep_old=True, lag_seconds=0)
    assert (report.swapped, report.refused) == (False, 1)
    assert (report.refusals[0].key.id, report.refusals[0].reason) == ("bad", "planted")
    assert await world.live() == 1
    assert await world.hits() == 3


async def test_a_live_write_that_only_the_candidate_refuses_blocks_the_swap(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refusals(number: int) -> Sequence[Refusal]:
        return [Refusal(DocumentKey("documents", f"bad{number}"), "planted")]

    monkeypatch.setattr(world.index, "refusals", refusals)
    report = await world.reindex().run(keep_old=True, lag_seconds=0)
    assert report.verified.agree
    assert (report.swapped, report.refused) == (False, 1)
    assert report.refusals == [Refusal(DocumentKey("documents", "bad2"), "planted")]
    assert await world.live() == 1


async def test_counts_that_differ_block_the_swap(world: World) -> None:
    await world.put("a")
    run = world.reindex()

    async def lose_a_document(number: int, batch: Sequence[IndexWrite]) -> Sequence[WriteOutcome]:
        return [WriteOutcome(Outcome.WRITTEN)] * len(batch)

    world.index.write_generation = lose_a_document  # type: ignore[method-assign]
    report = await run.run(keep_old=True, lag_seconds=0)
    assert not report.swapped
    assert not report.verified.agree
    assert await world.live() == 1


async def test_an_overloaded_index_is_asked_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("indexer.reindex._AGAIN_SECONDS", 0.0)
    await world.put("a")
    world.index.answers = [Outcome.TRY_AGAIN, Outcome.TRY_AGAIN]
    report = await world.reindex().run(keep_old=True)
    assert (report.swapped, report.documents) == (True, 1)


async def test_an_index_that_stays_overloaded_ends_the_run(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("indexer.reindex._AGAIN_SECONDS", 0.0)
    monkeypatch.setattr("indexer.reindex._OUTAGE_SECONDS", 0.05)
    await world.put("a")
    world.index.answers = [Outcome.TRY_AGAIN] * 1_000_000
    async with asyncio.timeout(20):
        with pytest.raises(DependencyError, match="takes no document for minutes: planted"):
            await world.reindex().run(keep_old=True)
    assert await world.live() == 1


async def test_another_command_that_changes_the_generations_ends_the_run(world: World) -> None:
    await world.put("a")
    world.index.answers = [Outcome.STALE]
    with pytest.raises(DependencyError, match="another command"):
        await world.reindex().run(keep_old=True)
    assert await world.live() == 1


async def test_verify_compares_each_source(world: World) -> None:
    await world.put("a", "b")
    await world.reconcile("a")
    report = await verify(world.store, world.index, lag_seconds=0)
    (counts,) = report.sources
    assert (counts.source, counts.in_postgres, counts.in_index) == ("documents", 2, 1)
    assert not report.agree
    await world.reconcile("b")
    assert (await verify(world.store, world.index, lag_seconds=0)).agree


async def test_verify_waits_for_an_index_that_lags(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.put("a")
    counted = world.index.count

    async def count_then_catch_up(source: str, generation: int | None = None) -> int:
        count = await counted(source, generation)
        await world.reconcile("a")
        return count

    monkeypatch.setattr("indexer.verify._RECHECK_SECONDS", 0.0)
    monkeypatch.setattr(world.index, "count", count_then_catch_up)
    assert (await verify(world.store, world.index, lag_seconds=30)).agree


async def test_verify_allows_for_writes_that_happen_while_it_counts(world: World) -> None:
    await world.put("a", "b")
    await world.reconcile("a", "b")
    counted = world.store.count

    async def count_and_grow(source: str) -> int:
        count = await counted(source)
        await world.put(f"new{count}")  # not indexed yet
        return count

    world.store.count = count_and_grow  # type: ignore[method-assign]
    assert (await verify(world.store, world.index, lag_seconds=0)).agree


async def test_a_reader_overtaken_by_a_deletion_and_a_reindex_brings_nothing_back(
    world: World,
) -> None:
    """The tombstone went to the old generation only; the backfill never saw the document."""
    await world.put("a")

    async def delete_and_reindex() -> None:
        await world.remove("a")
        await world.reconcile("a")
        assert (await world.reindex().run(keep_old=True)).swapped

    world.store.meanwhile = delete_and_reindex
    await world.reconcile("a")
    assert await world.hits() == 0
    assert [g.documents for g in await world.index.generations()] == [0, 0]
