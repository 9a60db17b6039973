"""Every search index keeps the newest state of every document, whatever comes in which order."""

from __future__ import annotations

import itertools
import random
from typing import Any

import msgspec
import pytest

from indexer.search.port import IndexWrite, Outcome, SearchIndex, SearchQuery
from shared.documents.port import DocumentKey
from tests.contracts.search_indexes import (
    all_of,
    document,
    ids,
    index_fixture,  # noqa: F401 - a fixture
    tombstone,
    write,
)

BIG_STAMP = 3 * 2**48 + 7


async def test_a_written_document_is_found_with_its_body_and_key(index: SearchIndex) -> None:
    fields: dict[str, Any] = {
        "title": "Plum jam",
        "text": "Boil the plums",
        "price": 4.5,
        "tags": ["jam", "plum"],
    }
    assert await write(index, document("a b/ü", BIG_STAMP, **fields)) == [Outcome.WRITTEN]
    found = await index.search(SearchQuery(text="plums"))
    assert found.total == 1
    assert found.hits[0].key == DocumentKey(source="documents", id="a b/ü")
    assert found.hits[0].body == fields
    assert found.hits[0].score > 0


async def test_every_document_of_a_large_batch_gets_its_own_outcome(index: SearchIndex) -> None:
    batch = [document(str(n), 5, title=f"number{n}") for n in range(1_200)]
    assert await write(index, *batch) == all_of(Outcome.WRITTEN, 1_200)
    assert await index.count("documents") == 1_200
    again = [document(str(n), 6 if n % 2 else 4, title="again") for n in range(1_200)]
    assert await write(index, *again) == [Outcome.SUPERSEDED, Outcome.WRITTEN] * 600
    assert (await index.search(SearchQuery(text="again", limit=1))).total == 600


@pytest.mark.parametrize("order", list(itertools.permutations([1, 2, 3])))
async def test_stamps_in_any_order_converge_to_the_highest(
    index: SearchIndex, order: tuple[int, ...]
) -> None:
    for stamp in order:
        await write(index, document("x", stamp, title=f"version{stamp}"))
    assert await ids(index, "version3") == ["x"]
    assert await ids(index, "version1 version2") == []
    assert await index.count("documents") == 1


async def test_random_writes_converge_to_the_highest_stamp(index: SearchIndex) -> None:
    chance = random.Random(4)
    writes = [
        tombstone(f"d{stamp % 7}", stamp)
        if chance.random() < 0.4
        else document(f"d{stamp % 7}", stamp, title=f"v{stamp}")
        for stamp in range(1, 140)
    ]
    newest = {found.key.id: found for found in writes}
    chance.shuffle(writes)
    for start in range(0, len(writes), 10):
        await write(index, *writes[start : start + 10])
    alive = {key: found.stamp for key, found in newest.items() if found.body is not None}
    assert await index.count("documents") == len(alive)
    for key, stamp in alive.items():
        assert await ids(index, f"v{stamp}") == [key]


async def test_the_same_stamp_twice_is_as_good_as_written(index: SearchIndex) -> None:
    assert await write(index, document("x", 5, title="one")) == [Outcome.WRITTEN]
    assert await write(index, document("x", 5, title="one")) == [Outcome.SUPERSEDED]


async def test_a_stamp_of_an_era_that_was_left_is_no_success(index: SearchIndex) -> None:
    """Whoever draws it reads a database that is no longer the truth."""
    await write(index, document("x", 2 * 2**48 + 5, title="new"))
    (outcome,) = await index.write([document("x", 2**48 + 900, title="old")], index.epoch)
    assert outcome.outcome is Outcome.TRY_AGAIN
    assert "era 2" in outcome.reason
    assert "era 1" in outcome.reason
    assert await ids(index, "new") == ["x"]


async def test_one_key_twice_in_a_batch_keeps_the_higher_stamp(index: SearchIndex) -> None:
    batch = [document("x", 6, title="newer"), document("x", 5, title="older")]
    assert await write(index, *batch) == [Outcome.WRITTEN, Outcome.SUPERSEDED]
    assert await ids(index, "newer") == ["x"]


async def test_a_tombstone_hides_its_document_and_blocks_older_writes(index: SearchIndex) -> None:
    await write(index, document("x", 5, title="plum"), document("y", 5, title="plum"))
    assert await write(index, tombstone("x", 7)) == [Outcome.WRITTEN]
    assert await ids(index, "plum") == ["y"]
    assert await index.count("documents") == 1
    assert await write(index, document("x", 6, title="plum")) == [Outcome.SUPERSEDED]
    assert await ids(index, "plum") == ["y"]
    assert await write(index, document("x", 8, title="plum")) == [Outcome.WRITTEN]
    assert sorted(await ids(index, "plum")) == ["x", "y"]


async def test_a_tombstone_comes_first_and_blocks_too(index: SearchIndex) -> None:
    assert await write(index, tombstone("x", 7)) == [Outcome.WRITTEN]
    assert await write(index, document("x", 6, title="late")) == [Outcome.SUPERSEDED]
    assert await index.count("documents") == 0


@pytest.mark.parametrize(
    "poison", [b'["no","object"]', b'{"title": "cut', b'{"title" "x"}', b"", b"\xff\xfe"]
)
async def test_a_poison_document_is_refused_alone_with_a_reason(
    index: SearchIndex, poison: bytes
) -> None:
    bad = IndexWrite(key=DocumentKey("documents", "bad"), stamp=5, body=poison)
    outcomes = await index.write([document("a", 5), bad, document("b", 5)], index.epoch)
    await index.refresh()
    assert [outcome.outcome for outcome in outcomes] == [
        Outcome.WRITTEN,
        Outcome.REFUSED,
        Outcome.WRITTEN,
    ]
    assert outcomes[1].reason
    assert await index.count("documents") == 2


async def test_sources_do_not_share_ids(index: SearchIndex) -> None:
    await write(
        index,
        document("1", 5, of="recipes", title="plum"),
        document("1", 4, of="parts", title="plum"),
        document("s:1", 4, of="a", title="plum"),
        document("1", 4, of="a:s", title="plum"),
    )
    assert await index.count("recipes") == await index.count("parts") == 1
    assert await index.count("a") == await index.count("a:s") == 1
    assert (await index.search(SearchQuery(text="plum", source="parts"))).total == 1
    await write(index, tombstone("1", 6, of="recipes"))
    assert (await index.search(SearchQuery(text="plum"))).total == 3


async def test_an_id_longer_than_the_server_takes_is_no_reason_to_refuse(
    index: SearchIndex,
) -> None:
    long = "https://example.org/" + "ä" * 2_000
    assert await write(index, document(long + "1", 5, title="one")) == [Outcome.WRITTEN]
    assert await write(index, document(long + "2", 5, title="two")) == [Outcome.WRITTEN]
    assert await ids(index, "two") == [long + "2"]
    assert await write(index, document(long + "2", 4)) == [Outcome.SUPERSEDED]


async def test_documents_of_any_shape_are_taken(index: SearchIndex) -> None:
    """Fields of users' tables change their type from row to row."""
    wide: dict[str, Any] = {f"field{n}": n for n in range(1_500)}
    shapes = [
        document("1", 5, price=4, size={"w": 1}, when="2026-01-01", flag=True, source="s", id=7),
        document("2", 5, price="n/a", size=3, when="soon", flag="perhaps", deleted=False, stamp=1),
        document("3", 5, price={"eur": 4}, size=["w", {"h": 2}], when=None, flag=[1, "x"]),
        document("4", 5, title={"en": "plum"}, text=7, url={"x": 1}, language=["en", 5]),
        document("5", 5, **wide),
        document("6", 5),
    ]
    assert await write(index, *shapes) == all_of(Outcome.WRITTEN, len(shapes))
    assert await index.count("documents") == len(shapes)


async def test_values_longer_than_a_term_may_be_are_taken(index: SearchIndex) -> None:
    huge = "ü" * 40_000
    taken = document("x", 5, title=huge, url=huge, language=huge, other=huge, text=f"plum {huge}")
    assert await write(index, taken) == [Outcome.WRITTEN]
    assert await ids(index, "plum") == ["x"]


async def test_white_space_in_the_json_does_no_harm(index: SearchIndex) -> None:
    """A column of type json keeps the line breaks that its writer put in."""
    body = msgspec.json.format(msgspec.json.encode({"title": "plum", "n": {"m": 1}}), indent=2)
    spaced = IndexWrite(key=DocumentKey("documents", "x"), stamp=5, body=b"\n " + body + b"\n")
    empty = IndexWrite(key=DocumentKey("documents", "y"), stamp=5, body=b"{ \n }")
    assert await write(index, spaced, empty) == [Outcome.WRITTEN, Outcome.WRITTEN]
    found = await index.search(SearchQuery(text="plum"))
    assert found.hits[0].body == {"title": "plum", "n": {"m": 1}}
