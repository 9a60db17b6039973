"""The suite's queries in Elasticsearch's own language. Pure functions."""

from __future__ import annotations

from typing import Any

from indexer.search.elasticsearch.mapping import META
from indexer.search.port import SearchQuery
from indexer.search.query_text import FIELD_BOOSTS, PHRASE_BOOST, parse_query

_FIELDS = [
    f"{META}.rest^{boost}" if field == "rest" else f"{field}^{boost}"
    for field, boost in FIELD_BOOSTS.items()
]


def search_query(query: SearchQuery) -> dict[str, Any]:
    """Return the query: most words in one field, all quoted phrases, whole phrases first."""
    parsed = parse_query(query.text)
    must = [_phrase(phrase) for phrase in parsed.phrases]
    should = []
    if parsed.words:
        must.append(_any_field(parsed.words, type="best_fields", minimum_should_match="2<70%"))
        should.append(_phrase(parsed.words, boost=PHRASE_BOOST))
    if not must:
        must.append({"match_all": {}})
    return {"bool": {"must": must, "should": should, "filter": _of_source(query.source)}}


def _phrase(text: str, boost: float = 1.0) -> dict[str, Any]:
    return _any_field(text, type="phrase", boost=boost)


def _any_field(text: str, **options: Any) -> dict[str, Any]:
    return {"multi_match": {"query": text, "fields": _FIELDS, **options}}


def _of_source(source: str) -> list[dict[str, Any]]:
    return [{"term": {f"{META}.source": source}}] if source else []
