"""The document store in this process: the built-in source only, for tests and trials."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import msgspec

from shared.documents.port import DOCUMENTS_SOURCE, DocumentWrite, StampedRead, StoredDocument
from shared.errors import PermanentError, UnknownSourceError
from shared.postgres.memory import MemoryDatabase, memory_of
from shared.postgres.port import Transaction


class MemoryDocumentStore:
    """Documents in a dictionary; a removed one stays as an entry without a body."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._outbox = database.outbox
        self._documents: dict[str, StoredDocument] = {}
        self._stamps = itertools.count(1)

    async def put(self, tx: Transaction, documents: Sequence[DocumentWrite]) -> int:
        """Insert or replace; see DocumentStore.put. The last of several with one id wins."""
        view = memory_of(tx).view(self._documents)
        changed = []
        for document in {document.id: document for document in documents}.values():
            old = view.get(document.id)
            if old is None or old.content_hash != document.content_hash:
                view[document.id] = StoredDocument(
                    document.id, _compact(document.body), document.content_hash
                )
                changed.append(document.id)
        self._record(tx, changed)
        return len(changed)

    async def remove(self, tx: Transaction, ids: Sequence[str]) -> int:
        """Mark deleted; see DocumentStore.remove."""
        view = memory_of(tx).view(self._documents)
        changed = []
        for document_id in dict.fromkeys(ids):
            old = view.get(document_id)
            if old is not None and old.body is not None:
                view[document_id] = StoredDocument(document_id, None)
                changed.append(document_id)
        self._record(tx, changed)
        return len(changed)

    async def read(self, source: str, ids: Sequence[str]) -> StampedRead:
        """Draw a stamp, then read; see DocumentStore.read."""
        _check_source(source)
        stamp = next(self._stamps)
        absent = [StoredDocument(document_id, None) for document_id in ids]
        return StampedRead(stamp, [self._documents.get(each.id, each) for each in absent])

    async def keys_after(self, source: str, after: str | None, limit: int) -> Sequence[str]:
        """Page through live documents; see DocumentStore.keys_after."""
        _check_source(source)
        live = (key for key in self._live() if after is None or _order(key) > _order(after))
        return sorted(live, key=_order)[:limit]

    async def count(self, source: str) -> int:
        """Count live documents."""
        _check_source(source)
        return len(self._live())

    async def sources(self) -> Sequence[str]:
        """List the one source there is."""
        return [DOCUMENTS_SOURCE]

    def _live(self) -> list[str]:
        return [key for key, document in self._documents.items() if document.body is not None]

    def _record(self, tx: Transaction, changed: list[str]) -> None:
        memory_of(tx).at_commit(lambda: self._outbox.append(DOCUMENTS_SOURCE, changed))


def _order(document_id: str) -> bytes:
    """Sort as the Postgres store does: by bytes."""
    return document_id.encode()


def _compact(body: bytes) -> bytes:
    """Check that the body is JSON, as the database does; raises PermanentError when it is not."""
    try:
        return msgspec.json.encode(msgspec.json.decode(body))
    except msgspec.DecodeError as error:
        raise PermanentError(f"a document's body is not JSON: {error}") from error


def _check_source(source: str) -> None:
    if source != DOCUMENTS_SOURCE:
        raise UnknownSourceError(
            f"no source {source!r} is registered; known are: {DOCUMENTS_SOURCE}"
        )
