"""Payloads of the jobs that one package, or a program in any language, publishes for another."""

from __future__ import annotations

import msgspec

INDEX_DOCUMENT = "index_document"
DELETE_DOCUMENT = "delete_document"


class DocumentJob(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Payload of `index_document` and `delete_document`.

    Both mean: reconcile this document with the target. Postgres decides what happens, so a job
    that is late, doubled or out of order does no harm.
    """

    document_id: str
    source: str = ""
    """Empty means the setting DEFAULT_SOURCE."""
