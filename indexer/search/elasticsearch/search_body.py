"""The suite's queries in Elasticsearch's own language. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from indexer.search.elasticsearch.mapping import META
from indexer.search.port import SearchQuery
from indexer.search.query_text import (
    FIELD_BOOSTS,
    LEAST_PERCENT,
    OTHER_BOOST,
    PHRASE_BOOST,
    parse_query,
)


def search_query(query: SearchQuery, text_fields: Iterable[str]) -> dict[str, Any]:
    """Return the query: most words in one field, all quoted phrases, whole phrases first."""
    parsed = parse_query(query.text)
    fields = [f"{field}^{FIELD_BOOSTS.get(field, OTHER_BOOST)}" for field in text_fields]
    must = [_any_field(phrase, fields, type="phrase") for phrase in parsed.phrases]
    should = []
    if parsed.words:
        most = f"2<{LEAST_PERCENT}%"
        must.append(_any_field(parsed.words, fields, minimum_should_match=most))
        should.append(_any_field(parsed.words, fields, type="phrase", boost=PHRASE_BOOST))
    if not must:
        must.append({"match_all": {}})
    return {"bool": {"must": must, "should": should, "filter": _of_source(query.source)}}


def _any_field(text: str, fields: list[str], **options: Any) -> dict[str, Any]:
    return {"multi_match": {"query": text, "fields": fields, **options}}


def _of_source(source: str) -> list[dict[str, Any]]:
    return [{"term": {f"{META}.source": source}}] if source else []
