"""Every search index can be rebuilt beside the live one, and swapped, and swapped back."""

from __future__ import annotations

import pytest

from indexer.search.port import Outcome, SearchIndex
from tests.contracts.search_indexes import (
    document,
    ids,
    index_fixture,  # noqa: F401 - a fixture
    tombstone,
    write,
)


async def _flags(index: SearchIndex) -> list[tuple[int, bool, bool, int]]:
    return [(g.number, g.live, g.writable, g.documents) for g in await index.generations()]


async def test_a_new_index_has_generation_one(index: SearchIndex) -> None:
    assert await _flags(index) == [(1, True, True, 0)]


async def test_opening_again_changes_nothing(index: SearchIndex) -> None:
    await write(index, document("x", 5))
    await index.create_generation()
    before = await _flags(index)
    await index.open()
    assert await _flags(index) == before


async def test_writes_reach_both_generations_and_searches_the_live_one(index: SearchIndex) -> None:
    await write(index, document("old", 5, title="plum"))
    created = await index.create_generation()
    assert (created.number, created.live, created.writable) == (2, False, True)
    await write(index, document("new", 6, title="plum"))
    assert sorted(await ids(index, "plum")) == ["new", "old"]
    assert await _flags(index) == [(1, True, True, 2), (2, False, True, 1)]
    assert await index.count("documents", generation=2) == 1


async def test_a_backfill_writes_to_one_generation_and_never_over_newer_writes(
    index: SearchIndex,
) -> None:
    await write(index, document("x", 5, title="first"), document("y", 5, title="first"))
    await index.create_generation()
    await write(index, document("x", 9, title="live"), tombstone("y", 9))
    backfill = [document("x", 8, title="late"), document("y", 8, title="late"), document("z", 8)]
    outcomes = await index.write_generation(2, backfill)
    assert [o.outcome for o in outcomes] == [
        Outcome.SUPERSEDED,
        Outcome.SUPERSEDED,
        Outcome.WRITTEN,
    ]
    await index.refresh()
    assert await index.count("documents", generation=1) == 1
    assert await index.count("documents", generation=2) == 2
    await index.swap(2)
    assert await ids(index, "live") == ["x"]
    assert await ids(index, "late") == []


async def test_swap_roll_back_and_drop(index: SearchIndex) -> None:
    await write(index, document("x", 5, title="plum"))
    await index.create_generation()
    await index.swap(2)
    assert await ids(index, "plum") == []
    await write(index, document("y", 6, title="plum"))
    assert await ids(index, "plum") == ["y"]
    await index.swap(1)
    assert sorted(await ids(index, "plum")) == ["x", "y"]
    await index.drop(2)
    assert await _flags(index) == [(1, True, True, 2)]
    assert await write(index, document("z", 7, title="plum")) in (
        [Outcome.WRITTEN],
        [Outcome.STALE],
    )
    assert await write(index, document("z", 8, title="plum")) == [Outcome.WRITTEN]


async def test_the_live_generation_is_not_dropped(index: SearchIndex) -> None:
    await index.create_generation()
    for number in (1, 3):
        with pytest.raises(ValueError):
            await index.drop(number)
    with pytest.raises(ValueError):
        await index.swap(3)
    await index.drop(2)
    assert (await index.create_generation()).number == 2


async def test_a_document_read_before_a_generation_was_added_is_not_written(
    index: SearchIndex,
) -> None:
    """It may be older than a tombstone that the new generation never got."""
    before = index.epoch
    await write(index, document("x", 5, title="plum"))
    await write(index, tombstone("x", 6))
    await index.create_generation()
    late = await index.write([document("x", 5, title="plum")], before)
    assert [outcome.outcome for outcome in late] == [Outcome.STALE]
    assert index.epoch != before
    await index.refresh()
    assert await index.count("documents", generation=2) == 0
    assert await write(index, document("x", 7, title="plum")) == [Outcome.WRITTEN]


async def test_what_both_generations_take_is_refused_by_none(index: SearchIndex) -> None:
    await index.create_generation()
    await write(index, document("x", 5, title="plum"), tombstone("y", 5))
    assert not await index.refusals(2)
