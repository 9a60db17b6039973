"""Every search index finds the page a person means, and ranks it first."""

from __future__ import annotations

import random

import pytest

from indexer.search.port import SearchIndex, SearchQuery
from tests.contracts.search_indexes import (
    document,
    ids,
    index_fixture,  # noqa: F401 - a fixture
    write,
)

COMMON = ("the", "of", "a", "to", "in", "is", "that", "for", "it", "as", "was", "with", "not")
WORDS = [f"{a}{b}" for a in ("bren", "tor", "mal", "kis", "ver") for b in ("da", "lo", "mi", "ru")]


def _page(number: int) -> str:
    chance = random.Random(number)
    return " ".join(chance.choice((*COMMON, *WORDS)) for _ in range(400))


async def test_a_phrase_of_six_to_eight_words_finds_its_page_first(index: SearchIndex) -> None:
    """All pages are made of the same words: only their order tells them apart."""
    pages = {f"p{n}": _page(n) for n in range(60)}
    await write(
        index, *(document(name, 5, title="A page", text=text) for name, text in pages.items())
    )
    chance = random.Random(7)
    for name, text in pages.items():
        words = text.split()
        length, start = chance.randint(6, 8), chance.randrange(390)
        phrase = " ".join(words[start : start + length])
        assert (await ids(index, phrase))[0] == name
        assert (await ids(index, f'"{phrase}"')) == [name]


async def test_a_match_in_the_title_comes_first(index: SearchIndex) -> None:
    await write(
        index,
        document("text", 5, title="Something else", text="plum jam plum jam plum jam"),
        document("title", 5, title="Plum jam", text="Boil and stir for an hour"),
        document("other", 5, title="Nothing", text="about pears"),
    )
    assert await ids(index, "plum jam") == ["title", "text"]


async def test_quoted_words_must_stand_together(index: SearchIndex) -> None:
    await write(
        index,
        document("apart", 5, text="jam of the red plum"),
        document("together", 5, text="a good plum jam"),
        document("both", 5, text="plum jam and pears"),
    )
    assert sorted(await ids(index, '"plum jam"')) == ["both", "together"]
    assert await ids(index, '"plum jam" pears') == ["both"]
    assert await ids(index, '"jam plum"') == []
    assert sorted(await ids(index, 'plum "jam')) == ["apart", "both", "together"]


async def test_text_of_any_field_is_found(index: SearchIndex) -> None:
    await write(
        index,
        document("row", 5, name="Grommet", details={"colours": ["teal", "ochre"]}),
        document("page", 5, fields={"author": "Ada Lovelace"}, description="On engines"),
    )
    assert await ids(index, "grommet") == ["row"]
    assert await ids(index, "ochre") == ["row"]
    assert await ids(index, '"ada lovelace"') == ["page"]
    assert await ids(index, "engines") == ["page"]


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("Die Straße führt über Zürich", "über zürich"),
        ("Привет, мир!", "ПРИВЕТ"),
        ("日本語のテキストです", "日本語"),
        ("naïve café — déjà vu", '"café — déjà"'),
        ("call os.path.join() or __init__", "os.path.join"),
        ("it is what you don't know", "don't"),
        ("emoji 🎉 party", "party"),
    ],
)
async def test_text_that_is_not_ascii_is_found(index: SearchIndex, text: str, query: str) -> None:
    await write(index, document("x", 5, text=text), document("y", 5, text="none of it"))
    assert await ids(index, query) == ["x"]


@pytest.mark.parametrize("query", ["", '""', "???", "( AND [", "title:plum~2^", "*", "\x00"])
async def test_odd_queries_are_answered(index: SearchIndex, query: str) -> None:
    await write(index, document("x", 5, title="plum"))
    assert (await index.search(SearchQuery(text=query))).total in (0, 1)


async def test_pages_of_results(index: SearchIndex) -> None:
    await write(index, *(document(f"{n:02}", 5, text="plum " * (n + 1)) for n in range(25)))
    first = await index.search(SearchQuery(text="plum", limit=10))
    second = await index.search(SearchQuery(text="plum", limit=10, offset=10))
    last = await index.search(SearchQuery(text="plum", limit=10, offset=20))
    assert (first.total, second.total, last.total) == (25, 25, 25)
    pages = [hit.key.id for page in (first, second, last) for hit in page.hits]
    assert len(pages) == len(set(pages)) == 25
