"""One Tantivy index: the documents of one generation and, beside each, its stamp."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import tantivy

from indexer.search.conflict import conflict
from indexer.search.identity import index_id
from indexer.search.port import Hit, IndexWrite, Outcome, SearchQuery, SearchResult, WriteOutcome
from indexer.search.tantivy.schema import TOKENIZER, analyzer, document, schema
from indexer.search.tantivy.search_query import QueryBuilder
from shared.documents.port import DocumentKey
from shared.errors import DependencyError

_HEAP_BYTES = 64 * 1024 * 1024
_WRITTEN = WriteOutcome(Outcome.WRITTEN)


class TantivyGeneration:
    """Writes and searches one index, in a directory or, without one, in memory.

    Stamps are fields of the documents, tombstones included; so one commit makes a document and
    its stamp durable together, and nothing has to be recovered after a kill.
    """

    def __init__(self, directory: Path | None) -> None:
        own_analyzer = analyzer()
        self._index = tantivy.Index(schema(), path=str(directory) if directory else None)
        self._index.register_tokenizer(TOKENIZER, own_analyzer)
        self._writer = self._index.writer(_HEAP_BYTES, 1)
        self._queries = QueryBuilder(self._index.schema, own_analyzer)
        self._searcher: Any = self._index.searcher()

    def write(self, batch: Sequence[IndexWrite]) -> list[WriteOutcome]:
        """Write a batch and commit it. For one thread at a time.

        Raises DependencyError when the commit fails (a full disk); then nothing was written.
        """
        try:
            outcomes = self._add(batch)
            if _WRITTEN in outcomes:
                self._writer.commit()
                self.refresh()
        except (ValueError, OSError) as error:
            self._writer.rollback()
            raise DependencyError(f"the embedded index cannot write: {error}") from error
        return outcomes

    def _add(self, batch: Sequence[IndexWrite]) -> list[WriteOutcome]:
        newest: dict[str, int] = {}
        outcomes = []
        for write in batch:
            key = index_id(write.key)
            held = newest[key] if key in newest else self._stamp(key)
            if write.stamp <= held:
                outcomes.append(conflict(held, write.stamp))
                continue
            try:
                made = document(write)
            except ValueError as error:
                outcomes.append(WriteOutcome(Outcome.REFUSED, str(error)))
                continue
            self._writer.delete_documents_by_term("key", key)
            self._writer.add_document(made)
            newest[key] = write.stamp
            outcomes.append(_WRITTEN)
        return outcomes

    def _stamp(self, key: str) -> int:
        hits = self._searcher.search(self._queries.key(key), 1, count=False).hits
        if not hits:
            return -1
        (stamp,) = self._searcher.fast_field_values("stamp", [hits[0][1]])
        return int(stamp)

    def refresh(self) -> None:
        """Let searches see what was committed."""
        self._index.reload()
        self._searcher = self._index.searcher()

    def search(self, query: SearchQuery) -> SearchResult:
        """Search live documents. May run in any thread."""
        searcher = self._searcher
        found = searcher.search(
            self._queries.search(query), limit=query.limit, offset=query.offset, count=True
        )
        hits = [_hit(score, searcher.doc(address)) for score, address in found.hits]
        return SearchResult(total=found.count, hits=hits)

    def count(self, source: str = "") -> int:
        """Return how many live documents of a source, or of all, there are."""
        found = self._searcher.search(self._queries.live(source), limit=1, count=True)
        return int(found.count)

    def close(self) -> None:
        """Wait for merges and let go of the directory."""
        self._writer.wait_merging_threads()


def _hit(score: float, found: Any) -> Hit:
    key = DocumentKey(source=found.get_first("source"), id=found.get_first("id"))
    return Hit(key=key, score=score, body=orjson.loads(found.get_first("body")))
