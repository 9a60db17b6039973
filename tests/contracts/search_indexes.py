"""The search index adapters that the contract suite runs on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from indexer.search.elasticsearch.index import ElasticsearchIndex
from indexer.search.port import IndexWrite, Outcome, SearchIndex, SearchQuery, SearchResult
from indexer.search.tantivy.engine import TantivyEngine
from indexer.search.tantivy.index import TantivyIndex
from shared.documents.port import DOCUMENTS_SOURCE, DocumentKey

OpenIndex = Callable[[], SearchIndex]
ADAPTERS = ("tantivy_memory", "tantivy_owner", "tantivy_guest", "elasticsearch")


def ignore_bulk(size: int, seconds: float) -> None:
    """Take the figures of a bulk and do nothing."""


@pytest.fixture(name="index", params=ADAPTERS)
async def index_fixture(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[SearchIndex]:
    """An open, empty index of each adapter."""
    opened: list[SearchIndex] = []
    if request.param == "elasticsearch":
        url, name = (request.getfixturevalue(n) for n in ("elasticsearch_url", "index_prefix"))
        opened.append(ElasticsearchIndex(url, name, ignore_bulk))
    elif request.param == "tantivy_memory":
        opened.append(TantivyEngine(None))
    else:
        opened.append(TantivyIndex(tmp_path))
    if request.param == "tantivy_guest":
        opened.append(TantivyIndex(tmp_path))
    for index in opened:
        await index.open()
    yield opened[-1]
    for index in reversed(opened):
        await index.close()


def document(name: str, stamp: int, /, of: str = DOCUMENTS_SOURCE, **fields: Any) -> IndexWrite:
    """Return a write of a document with these fields."""
    key = DocumentKey(source=of, id=name)
    return IndexWrite(
        key=key, stamp=stamp, body=msgspec.json.encode(fields), content_hash=b"h" * 16
    )


def tombstone(name: str, stamp: int, /, of: str = DOCUMENTS_SOURCE) -> IndexWrite:
    """Return a write of a document's absence."""
    return IndexWrite(key=DocumentKey(source=of, id=name), stamp=stamp, body=None)


async def write(index: SearchIndex, *batch: IndexWrite) -> list[Outcome]:
    """Write under the present epoch, make it visible, and return the outcomes."""
    outcomes = await index.write(batch, index.epoch)
    await index.refresh()
    return [outcome.outcome for outcome in outcomes]


async def ids(index: SearchIndex, text: str, **options: Any) -> list[str]:
    """Return the ids that a search finds, best first."""
    found: SearchResult = await index.search(SearchQuery(text=text, **options))
    return [hit.key.id for hit in found.hits]


def all_of(outcome: Outcome, number: int) -> Sequence[Outcome]:
    """Return the same outcome so many times."""
    return [outcome] * number
