"""The suite's queries as Tantivy's query objects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tantivy import Occur, Query

from indexer.search.port import SearchQuery
from indexer.search.query_text import (
    FIELD_BOOSTS,
    OTHER_BOOST,
    PHRASE_BOOST,
    least_matching,
    parse_query,
)
from indexer.search.tantivy.schema import REST

_BOOSTS = {**FIELD_BOOSTS, REST: OTHER_BOOST}


class QueryBuilder:
    """Builds queries for one schema, with the analyzer of its text fields."""

    def __init__(self, schema: Any, analyzer: Any) -> None:
        self._schema = schema
        self._analyzer = analyzer

    def search(self, query: SearchQuery) -> Any:
        """Return the query: most words in one field, all quoted phrases, whole phrases first."""
        parsed = parse_query(query.text)
        words = self._analyzer.analyze(parsed.words)
        clauses = [(Occur.Must, self.live(query.source))]
        clauses += [
            (Occur.Must, self._phrase(self._analyzer.analyze(phrase))) for phrase in parsed.phrases
        ]
        if words:
            clauses.append((Occur.Must, self._words(words)))
            clauses.append((Occur.Should, Query.boost_query(self._phrase(words), PHRASE_BOOST)))
        elif parsed.words:
            clauses.append((Occur.Must, Query.empty_query()))
        return Query.boolean_query(clauses)

    def live(self, source: str = "") -> Any:
        """Return a filter, which adds nothing to the score, that hides tombstones."""
        clauses = [(Occur.Must, Query.term_query(self._schema, "deleted", False, "basic"))]
        if source:
            of_source = Query.term_query(self._schema, "source", source, "basic")
            clauses.append((Occur.Must, of_source))
        return Query.const_score_query(Query.boolean_query(clauses), 0.0)

    def key(self, key: str) -> Any:
        """Return the query for one document by its id in the index."""
        return Query.term_query(self._schema, "key", key, "basic")

    def _words(self, words: Sequence[str]) -> Any:
        least = least_matching(len(words))
        return self._any_field(
            [Query.boolean_query(self._terms(field, words), least) for field in _BOOSTS]
        )

    def _terms(self, field: str, words: Sequence[str]) -> list[tuple[Any, Any]]:
        return [(Occur.Should, Query.term_query(self._schema, field, word)) for word in words]

    def _phrase(self, words: Sequence[str]) -> Any:
        if not words:
            return Query.empty_query()
        if len(words) == 1:
            return self._any_field(
                [Query.term_query(self._schema, field, words[0]) for field in _BOOSTS]
            )
        return self._any_field(
            [Query.phrase_query(self._schema, field, list(words)) for field in _BOOSTS]
        )

    @staticmethod
    def _any_field(queries: Sequence[Any]) -> Any:
        boosts = _BOOSTS.values()
        return Query.disjunction_max_query(
            [Query.boost_query(query, boost) for query, boost in zip(queries, boosts, strict=True)]
        )
