"""The document store port: what is to be in the targets, read under a reader's stamp.

A document is named by (source, id). The built-in source `documents` is written by the crawler;
any table of the user's can be a source too, through SQL that builds documents for a list of keys.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from shared.postgres.port import Transaction

DOCUMENTS_SOURCE = "documents"


class DocumentKey(msgspec.Struct, frozen=True, order=True, gc=False):
    """Names a document."""

    source: str
    id: str


class DocumentWrite(msgspec.Struct, frozen=True, gc=False):
    """A document of the built-in source, as it is to be stored."""

    id: str
    body: bytes
    """JSON text of an object; clean for Postgres (no NUL, no lone surrogates)."""
    content_hash: bytes
    """16 bytes over the extracted document; equal hashes cause no write."""


class StoredDocument(msgspec.Struct, frozen=True, gc=False):
    """A document as it is now. `body` is None when it is absent or marked deleted."""

    id: str
    body: bytes | None
    content_hash: bytes | None = None


class StampedRead(msgspec.Struct, frozen=True):
    """Documents, and the stamp that was drawn just before they were read.

    Whoever drew a higher stamp drew it later and read later still, so the content under the
    highest stamp is the newest; a target that keeps the highest stamp converges.
    """

    stamp: int
    documents: Sequence[StoredDocument]
    """One for each id asked for, in that order."""


class DocumentStore(Protocol):
    """Documents of all sources."""

    async def put(self, tx: Transaction, documents: Sequence[DocumentWrite]) -> int:
        """Insert or replace documents of the built-in source; return how many changed.

        Documents with an unchanged content hash are not written. Every change is recorded in
        the outbox by the same transaction.
        """
        ...

    async def remove(self, tx: Transaction, ids: Sequence[str]) -> int:
        """Mark documents of the built-in source deleted; return how many were not already."""
        ...

    async def read(self, source: str, ids: Sequence[str]) -> StampedRead:
        """Draw a stamp, then, in a new statement on the primary, read the documents.

        Raises UnknownSourceError for a source that is not registered.
        """
        ...

    async def keys_after(self, source: str, after: str | None, limit: int) -> Sequence[str]:
        """Return up to `limit` ids of live documents in key order, after the given one."""
        ...

    async def count(self, source: str) -> int:
        """Return how many live documents a source has."""
        ...

    async def sources(self) -> Sequence[str]:
        """Return the names of all registered sources, the built-in one first."""
        ...
