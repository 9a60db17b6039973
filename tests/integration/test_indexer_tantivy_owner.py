"""One owner of the embedded index at a time, and always one when somebody needs it."""

from __future__ import annotations

import asyncio
import os
import resource
from collections.abc import Sequence
from pathlib import Path

import pytest

from indexer.search.port import IndexWrite, Outcome, SearchQuery, WriteOutcome
from indexer.search.tantivy.engine import TantivyEngine
from indexer.search.tantivy.index import TantivyIndex
from indexer.search.tantivy.owner import take_ownership
from indexer.search.tantivy.remote import RemoteEngine
from shared.errors import ConnectionLostError, DependencyError
from tests.contracts.search_indexes import document, tombstone, write


async def _opened(directory: Path) -> TantivyIndex:
    index = TantivyIndex(directory)
    await index.open()
    return index


async def test_a_guest_takes_the_place_of_an_owner_that_ends(tmp_path: Path) -> None:
    owner, guest = await _opened(tmp_path), await _opened(tmp_path)
    await write(owner, document("x", 5, title="plum"), tombstone("y", 9))
    assert (await guest.search(SearchQuery(text="plum"))).total == 1
    await owner.close()
    with pytest.raises(ConnectionLostError):
        await guest.search(SearchQuery(text="plum"))
    assert (await guest.search(SearchQuery(text="plum"))).total == 1
    assert take_ownership(tmp_path) is None
    assert await write(guest, document("y", 8)) == [Outcome.SUPERSEDED]

    third = await _opened(tmp_path)
    assert await write(third, document("x", 6, title="pear")) == [Outcome.WRITTEN]
    assert (await guest.search(SearchQuery(text="pear"))).total == 1
    await third.close()
    await guest.close()


async def test_many_that_open_at_once_agree_on_one_owner(tmp_path: Path) -> None:
    indices = await asyncio.gather(*(_opened(tmp_path) for _ in range(5)))
    batches = [[document(f"{n}-{k}", 5) for k in range(20)] for n in range(5)]
    await asyncio.gather(*(i.write(b, i.epoch) for i, b in zip(indices, batches, strict=True)))
    assert {await index.count("documents") for index in indices} == {100}
    for index in reversed(indices):
        await index.close()


async def test_a_call_that_has_begun_is_finished_before_the_owner_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()
    write_at_once = TantivyEngine.write

    async def write_when_told(
        engine: TantivyEngine, batch: Sequence[IndexWrite], epoch: int
    ) -> Sequence[WriteOutcome]:
        begun.set()
        await go_on.wait()
        return await write_at_once(engine, batch, epoch)

    monkeypatch.setattr(TantivyEngine, "write", write_when_told)
    owner, guest = await _opened(tmp_path), await _opened(tmp_path)
    writing = asyncio.create_task(guest.write([document("x", 5)], guest.epoch))
    await begun.wait()
    closing = asyncio.create_task(owner.close())
    await asyncio.wait([closing], timeout=0.2)
    assert not closing.done()
    go_on.set()
    await closing
    assert [outcome.outcome for outcome in await writing] == [Outcome.WRITTEN]
    await guest.close()


async def test_errors_of_the_owner_reach_the_guest_as_they_are(tmp_path: Path) -> None:
    owner, guest = await _opened(tmp_path), await _opened(tmp_path)
    with pytest.raises(ValueError, match="is live"):
        await guest.drop(1)
    with pytest.raises(DependencyError, match="KeyError"):
        await guest.count("documents", generation=9)
    await guest.close()
    await owner.close()


async def test_a_disk_that_is_full_loses_the_batch_and_nothing_else(tmp_path: Path) -> None:
    index = TantivyEngine(tmp_path)
    await index.open()
    await write(index, document("x", 5, title="plum"))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(DependencyError, match="cannot write"):
            await index.write([document("y", 5, title="plum")], index.epoch)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert await index.count("documents") == 1
    assert await write(index, document("y", 5, title="plum")) == [Outcome.WRITTEN]
    assert (await index.search(SearchQuery(text="plum"))).total == 2
    await index.close()


async def test_what_a_killed_create_left_behind_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "g000002").mkdir()
    (tmp_path / "g000002" / "meta.json").write_text("half")
    index = await _opened(tmp_path)
    assert (await index.create_generation()).number == 2
    assert await write(index, document("x", 5)) == [Outcome.WRITTEN]
    await index.close()
    again = await _opened(tmp_path)
    assert [g.documents for g in await again.generations()] == [1, 1]
    await again.close()


async def test_a_damaged_catalog_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "generations.json").write_text('{"epoch": ')
    index = TantivyIndex(tmp_path)
    with pytest.raises(DependencyError, match=r"generations\.json"):
        await index.open()
    await index.close()


async def test_a_guest_that_could_not_take_over_tries_again(tmp_path: Path) -> None:
    owner, guest = await _opened(tmp_path), await _opened(tmp_path)
    await write(owner, document("x", 5, title="plum"))
    await owner.close()
    catalog = tmp_path / "generations.json"
    whole = catalog.read_bytes()
    catalog.write_bytes(b"{")
    with pytest.raises(ConnectionLostError):
        await guest.count("documents")
    with pytest.raises(DependencyError, match="damaged"):
        await guest.count("documents")
    catalog.write_bytes(whole)
    assert await guest.count("documents") == 1
    await guest.close()


async def test_a_call_that_lost_the_old_owner_late_does_not_depose_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, guest = await _opened(tmp_path), await _opened(tmp_path)
    hear = asyncio.Event()

    async def lose_the_owner_late(*_: object) -> int:
        await hear.wait()
        raise ConnectionLostError("gone")

    monkeypatch.setattr(RemoteEngine, "count", lose_the_owner_late)
    late = asyncio.create_task(guest.count("documents"))
    await asyncio.sleep(0)
    await owner.close()
    with pytest.raises(ConnectionLostError):
        await guest.search(SearchQuery(text="plum"))
    await write(guest, document("x", 5))
    hear.set()
    with pytest.raises(ConnectionLostError):
        await late
    assert await guest.count("documents") == 1
    await guest.close()
    lock = take_ownership(tmp_path)
    assert lock is not None, "the guest let go of all it had"
    os.close(lock)
