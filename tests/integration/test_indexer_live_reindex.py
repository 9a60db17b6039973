"""Reindex while documents are written, deleted and written again: nothing is lost or left over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from indexer.generations import roll_back
from indexer.reindex import Reindex
from indexer.search.elasticsearch.index import ElasticsearchIndex
from indexer.search.port import SearchIndex, SearchQuery
from indexer.search.tantivy.index import TantivyIndex
from tests.contracts.search_indexes import ignore_bulk
from tests.integration.indexer_world import IndexerWorld, in_index, indexer_world

NAMES = [f"n{number}" for number in range(3_000)]


@pytest.fixture(params=["elasticsearch", "tantivy"])
def new_index(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], SearchIndex]:
    """Make one more client of the same index: a worker's, or a command's."""
    if request.param == "tantivy":
        return lambda: TantivyIndex(tmp_path)
    url, name = (request.getfixturevalue(n) for n in ("elasticsearch_url", "index_prefix"))
    return lambda: ElasticsearchIndex(url, name, ignore_bulk)


@pytest.fixture
async def indices(
    new_index: Callable[[], SearchIndex],
) -> AsyncIterator[tuple[SearchIndex, SearchIndex]]:
    """The index of a running worker, and that of the reindex command."""
    worker, command = new_index(), new_index()
    await worker.open()
    await command.open()
    yield worker, command
    await command.close()
    await worker.close()


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[IndexerWorld]:
    """A database with documents."""
    async with indexer_world(database_url) as world:
        await world.put(*NAMES)
        yield world


async def test_a_reindex_under_live_writes_loses_nothing(
    world: IndexerWorld, indices: tuple[SearchIndex, SearchIndex]
) -> None:
    worker, command = indices
    await world.run_jobs(world.processor(worker), NAMES)
    await worker.refresh()
    stop, fewest = asyncio.Event(), len(NAMES)

    async def watch() -> None:
        nonlocal fewest
        while not stop.is_set():
            found = await worker.search(SearchQuery(text="doc", limit=1))
            fewest = min(fewest, found.total)

    others = [
        asyncio.create_task(watch()),
        *(
            asyncio.create_task(world.change_at_random(worker, NAMES[part::2], stop))
            for part in range(2)
        ),
    ]
    before = world.writes
    report = await Reindex(world.store, command, lambda _: None).run(keep_old=True)
    during = world.writes - before
    stop.set()
    await asyncio.gather(*others)

    assert report.swapped, report
    assert during > 10
    assert fewest > len(NAMES) / 2  # searches were never empty
    assert await in_index(worker) == await world.in_postgres()
    await roll_back(command)
    assert await in_index(worker) == await world.in_postgres()


async def test_a_worker_that_missed_a_new_generation_reads_again_and_writes_to_both(
    world: IndexerWorld, indices: tuple[SearchIndex, SearchIndex]
) -> None:
    worker, command = indices
    stale = worker.epoch
    await command.create_generation()
    assert worker.epoch == stale
    assert await world.run_jobs(world.processor(worker), NAMES[:10]) == 0
    await command.refresh()
    assert [g.documents for g in await command.generations()] == [10, 10]


async def test_a_worker_goes_on_when_a_generation_is_dropped(
    world: IndexerWorld, indices: tuple[SearchIndex, SearchIndex]
) -> None:
    worker, command = indices
    processor = world.processor(worker)
    await command.create_generation()
    await world.run_jobs(processor, NAMES[:5])
    await command.drop(2)
    assert await world.run_jobs(processor, NAMES[5:10]) == 0
    await command.refresh()
    assert [(g.number, g.documents) for g in await command.generations()] == [(1, 10)]
