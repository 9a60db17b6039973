"""The mapping of a generation: known fields fixed, unknown ones taken in without refusals."""

from __future__ import annotations

from typing import Any

META = "worker_suite"
"""The one field of a document that is the suite's own: what it is called, stamp, tombstone."""

LIVE_ONLY: dict[str, Any] = {"term": {f"{META}.deleted": False}}
"""Filter of the search alias: tombstones are hidden by it."""

REFUSED: dict[str, Any] = {"exists": {"field": f"{META}.refused"}}
"""Finds the marks of documents that this generation refused and the live one did not."""

_LONGEST_KEYWORD = 8191
"""Lucene refuses terms over 32,766 bytes; a character takes up to four."""


def mappings(analyzer: str) -> dict[str, Any]:
    """Return the mapping.

    `subobjects: false` lets one document have `a: 1` and another `a: {b: 2}`; numbers and flags
    that turn out to be something else are kept but not indexed: so no document of a user's table
    poisons a type for those that come after it.
    """
    text = {"type": "text", "analyzer": analyzer}
    keyword = {"type": "keyword", "ignore_above": _LONGEST_KEYWORD}
    return {
        "dynamic": True,
        "subobjects": False,
        "date_detection": False,
        "numeric_detection": False,
        "dynamic_templates": _dynamic_templates(text),
        "properties": {
            f"{META}.source": keyword,
            f"{META}.id": keyword,
            f"{META}.stamp": {"type": "long"},
            f"{META}.deleted": {"type": "boolean"},
            f"{META}.content_hash": {"type": "keyword"},
            f"{META}.refused": keyword,
            "url": keyword,
            "language": keyword,
            "title": text,
            "description": text,
            "text": text,
        },
    }


def _dynamic_templates(text: dict[str, Any]) -> list[dict[str, Any]]:
    # No sub-fields and no copy_to: with them `a: "x"` would forbid `a: {b: "y"}` ever after.
    lenient = {"ignore_malformed": True}
    types: dict[str, dict[str, Any]] = {
        "string": text,
        "long": {"type": "double", **lenient},
        "double": {"type": "double", **lenient},
        "boolean": {"type": "boolean", **lenient},
    }
    return [
        {kind: {"match_mapping_type": kind, "mapping": mapping}} for kind, mapping in types.items()
    ]


def index_settings(shards: int) -> dict[str, Any]:
    """Return settings of a generation in service; `building` overrides some of them at first."""
    return {
        "number_of_shards": shards,
        "auto_expand_replicas": "0-1",
        # Fields beyond the limit are kept in the document but not indexed.
        "index.mapping.total_fields.ignore_dynamic_beyond_limit": True,
    }


BUILDING: dict[str, Any] = {
    "auto_expand_replicas": "false",
    "number_of_replicas": 0,
    "refresh_interval": "-1",
}
"""Settings while a reindex fills a generation: no replica, no refresh."""

IN_SERVICE: dict[str, Any] = {"auto_expand_replicas": "0-1", "refresh_interval": None}
"""What takes the place of BUILDING before a generation is searched."""
