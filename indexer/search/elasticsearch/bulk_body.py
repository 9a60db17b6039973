"""Bulk bodies: a document's JSON goes from Postgres to Elasticsearch as bytes, never parsed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import orjson

from indexer.search.elasticsearch.mapping import META
from indexer.search.identity import index_id
from indexer.search.port import IndexWrite


class BulkLines(msgspec.Struct, frozen=True, gc=False):
    """All lines of one document: an action and its source for each alias."""

    position: int
    """Of the document in its batch."""
    data: bytes


def document_source(write: IndexWrite) -> bytes:
    """Return a document as the index stores it: the suite's own part, then the user's bytes.

    Raises ValueError when the body is not a JSON object.
    """
    hashed = write.content_hash.hex() if write.content_hash else None
    opening = _opening(write, deleted=write.body is None, content_hash=hashed)
    if write.body is None:
        return opening + b"}"
    # A raw line break can only be white space between tokens, and would end the bulk line.
    body = write.body.replace(b"\n", b" ").strip()
    if not body.startswith(b"{"):
        raise ValueError("the document is not a JSON object")
    rest = body[1:].lstrip()
    return opening + rest if rest == b"}" else opening + b"," + rest


def bulk_lines(position: int, write: IndexWrite, aliases: Sequence[str]) -> BulkLines:
    """Return the lines that write one document through each alias; its stamp is the version.

    Raises ValueError when the body is not a JSON object.
    """
    return _lines(position, write, aliases, document_source(write))


def refusal_lines(position: int, write: IndexWrite, alias: str, reason: str) -> BulkLines:
    """Return the lines that leave a mark in place of a document which a generation refused.

    Nothing of the document is in it, so that it is not refused, and a later write replaces it.
    """
    source = _opening(write, deleted=True, refused=reason) + b"}"
    return _lines(position, write, [alias], source)


def bodies(lines: Sequence[BulkLines], max_bytes: int) -> Iterator[list[BulkLines]]:
    """Group lines into bodies of at most `max_bytes`; a larger document goes alone."""
    body: list[BulkLines] = []
    size = 0
    for line in lines:
        if body and size + len(line.data) > max_bytes:
            yield body
            body, size = [], 0
        body.append(line)
        size += len(line.data)
    if body:
        yield body


def _opening(write: IndexWrite, **more: Any) -> bytes:
    meta = {"source": write.key.source, "id": write.key.id, "stamp": write.stamp, **more}
    return b'{"%s":%s' % (META.encode(), orjson.dumps(meta))


def _lines(position: int, write: IndexWrite, aliases: Sequence[str], source: bytes) -> BulkLines:
    name = index_id(write.key)
    parts = []
    for alias in aliases:
        action = {
            "_index": alias,
            "_id": name,
            "version": write.stamp,
            "version_type": "external",
        }
        parts += [b'{"index":', orjson.dumps(action), b"}\n", source, b"\n"]
    return BulkLines(position=position, data=b"".join(parts))
