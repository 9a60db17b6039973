"""How a document lies in a Tantivy index, and how its text becomes terms."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
import tantivy

from indexer.search.identity import index_id
from indexer.search.port import IndexWrite
from indexer.search.query_text import FIELD_BOOSTS

TOKENIZER = "suite"
_LETTER = r"[\p{Alphabetic}\p{M}\p{Nd}_&&[^\p{Han}\p{Hiragana}\p{Thai}]]"
# Words as Unicode sees them (UAX 29), which is also how Elasticsearch's standard analyzer does:
# an ideograph is a word, and don't, 3.14 and os.path are one word each.
_WORD = rf"[\p{{Han}}\p{{Hiragana}}\p{{Thai}}]|{_LETTER}+(?:['’.]{_LETTER}+)*"
_LONGEST_TERM = 255
_OWN_FIELDS = tuple(FIELD_BOOSTS)
REST = "rest"
"""The field that holds the text of all fields without one of their own."""
_NOT_SEARCHED = ("url", "language")


def analyzer() -> Any:
    """Return the analyzer of text fields and of queries."""
    words = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.regex(_WORD))
    shorter = words.filter(tantivy.Filter.remove_long(_LONGEST_TERM))
    return shorter.filter(tantivy.Filter.lowercase()).build()


def schema() -> Any:
    """Return the schema of a generation."""
    builder = tantivy.SchemaBuilder()
    builder.add_text_field("key", tokenizer_name="raw", index_option="basic")
    builder.add_text_field("source", stored=True, tokenizer_name="raw", index_option="basic")
    builder.add_text_field("id", stored=True, tokenizer_name="raw", index_option="basic")
    builder.add_integer_field("stamp", fast=True)
    builder.add_boolean_field("deleted", indexed=True)
    builder.add_bytes_field("content_hash", stored=True)
    builder.add_bytes_field("body", stored=True)
    for field in (*_OWN_FIELDS, REST):
        builder.add_text_field(field, tokenizer_name=TOKENIZER)
    return builder.build()


def document(write: IndexWrite) -> Any:
    """Return a document, or the tombstone of one.

    Raises ValueError when the body is not a JSON object.
    """
    made = tantivy.Document()
    made.add_text("key", index_id(write.key))
    made.add_text("source", write.key.source)
    made.add_text("id", write.key.id)
    made.add_integer("stamp", write.stamp)
    made.add_boolean("deleted", write.body is None)
    if write.content_hash is not None:
        made.add_bytes("content_hash", write.content_hash)
    if write.body is not None:
        _add_body(made, write.body)
    return made


def _add_body(made: Any, body: bytes) -> None:
    fields = orjson.loads(body)
    if not isinstance(fields, dict):
        raise ValueError("the document is not a JSON object")
    made.add_bytes("body", body)
    for name, value in fields.items():
        if name not in _NOT_SEARCHED:
            field = name if name in _OWN_FIELDS else REST
            for text in _texts(value):
                made.add_text(field, text)


def _texts(value: Any) -> Iterator[str]:
    """Yield all texts inside a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
