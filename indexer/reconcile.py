"""Reconcile: read documents as they are now, and write them, or their absence, to the index."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from indexer.search.port import IndexWrite, Outcome, SearchIndex, WriteOutcome
from shared.documents.port import DocumentKey, DocumentStore, StampedRead

READS = 3
"""How often a document is read again because the generations changed, before giving up."""


class Reconciled(msgspec.Struct, frozen=True):
    """What became of one document."""

    outcome: WriteOutcome
    present: bool
    """Whether it is there in Postgres."""


class Reconciler:
    """Brings documents of the index in step with the document store."""

    def __init__(self, store: DocumentStore, index: SearchIndex) -> None:
        self._store = store
        self._index = index

    async def reconcile(self, source: str, ids: Sequence[str]) -> dict[str, Reconciled]:
        """Bring documents of one source in step, in every generation that is written to.

        Raises what the store and the index raise.
        """
        done: dict[str, Reconciled] = {}
        waiting = list(dict.fromkeys(ids))
        for _ in range(READS):
            epoch = self._index.epoch  # taken before the read: see SearchIndex.epoch
            writes = _writes(source, await self._store.read(source, waiting))
            outcomes = await self._index.write(writes, epoch)
            for write, outcome in zip(writes, outcomes, strict=True):
                done[write.key.id] = Reconciled(outcome, write.body is not None)
            waiting = [name for name in waiting if _stale(done[name].outcome)]
            if not waiting:
                break
        return done

    async def backfill(
        self, source: str, ids: Sequence[str], generation: int
    ) -> dict[str, Reconciled]:
        """Write documents of one source, as they are now, to one generation only."""
        writes = _writes(source, await self._store.read(source, ids))
        outcomes = await self._index.write_generation(generation, writes)
        return {
            write.key.id: Reconciled(outcome, write.body is not None)
            for write, outcome in zip(writes, outcomes, strict=True)
        }


def _writes(source: str, read: StampedRead) -> list[IndexWrite]:
    return [
        IndexWrite(
            key=DocumentKey(source=source, id=document.id),
            stamp=read.stamp,
            body=document.body,
            content_hash=document.content_hash,
        )
        for document in read.documents
    ]


def _stale(outcome: WriteOutcome) -> bool:
    return outcome.outcome is Outcome.STALE
