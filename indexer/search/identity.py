"""The name of a document inside an index."""

from __future__ import annotations

from hashlib import sha256

from shared.documents.port import DocumentKey

MAX_ID_BYTES = 512
"""Elasticsearch refuses a whole bulk that holds one longer id."""


def index_id(key: DocumentKey) -> str:
    """Return the id of a document in the index: its source, a colon and its id.

    Different keys never share one. An id that is too long (a URL may be) is replaced by its hash.
    """
    source = key.source.replace("%", "%25").replace(":", "%3A")
    plain = f"{source}:{key.id}"
    if len(plain.encode()) <= MAX_ID_BYTES and not key.id.startswith("sha256="):
        return plain
    return f"sha256={sha256(plain.encode()).hexdigest()}"
