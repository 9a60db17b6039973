"""The small pure parts of the search index."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from indexer.search.elasticsearch.catalog import index_name, read_catalog, write_alias
from indexer.search.identity import MAX_ID_BYTES, index_id
from indexer.search.query_text import least_matching, parse_query
from shared.documents.port import DocumentKey

names = st.text(st.sampled_from("a:%ü"), max_size=4) | st.text(max_size=300)
keys = st.builds(DocumentKey, source=names, id=names)


@given(keys, keys)
def test_different_documents_have_different_ids_that_the_server_takes(
    one: DocumentKey, other: DocumentKey
) -> None:
    assert (index_id(one) == index_id(other)) == (one == other)
    assert 0 < len(index_id(one).encode()) <= MAX_ID_BYTES


def test_an_id_that_looks_like_a_hash_is_not_mistaken_for_one() -> None:
    long = DocumentKey(source="documents", id="x" * 600)
    assert index_id(DocumentKey(source="", id=index_id(long))) != index_id(long)


def test_quotation_marks_make_phrases() -> None:
    parsed = parse_query('red "plum jam" and  "pear tart" "" end')
    assert (parsed.words, parsed.phrases) == ("red and end", ("plum jam", "pear tart"))
    assert parse_query('red "plum').words == "red plum"
    assert parse_query(' " " ').phrases == ()


def test_most_words_must_match() -> None:
    assert [least_matching(n) for n in (1, 2, 3, 4, 8, 10)] == [1, 2, 2, 2, 5, 7]


def test_the_catalog_is_read_from_names_alone() -> None:
    aliases: dict[str, Any] = {
        "docs-g000002": {"aliases": {"docs-g000002-w7": {}}},
        "docs-g000001": {"aliases": {"docs": {"filter": {}}, "docs-g000001-w7": {}}},
        "docs-g000003": {"aliases": {}},
        "docs-g000004x": {"aliases": {"docs-g000004x-w9": {}}},
        "docs-gross-g000009": {"aliases": {"docs-gross": {}}},
    }
    catalog = read_catalog("docs", aliases)
    assert (catalog.epoch, catalog.live, catalog.generations) == (7, 1, (1, 2, 3))
    assert catalog.fan_out() == [write_alias("docs", 1, 7), write_alias("docs", 2, 7)]
    assert index_name("docs", 2) == "docs-g000002"


def test_the_live_generation_comes_first_in_the_fan_out() -> None:
    aliases: dict[str, Any] = {
        "docs-g000001": {"aliases": {"docs-g000001-w2": {}}},
        "docs-g000002": {"aliases": {"docs": {}, "docs-g000002-w2": {}}},
    }
    assert read_catalog("docs", aliases).fan_out() == ["docs-g000002-w2", "docs-g000001-w2"]


def test_no_index_is_an_empty_catalog() -> None:
    assert read_catalog("docs", {}).live is None
