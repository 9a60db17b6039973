"""Reconcile: read documents as they are now, and write them, or their absence, to the index."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from indexer.search.port import IndexWrite, Outcome, SearchIndex, WriteOutcome
from shared.documents.port import DocumentKey, DocumentStore, StampedRead

READS = 3
"""How often a document is read again because the generations changed, before giving up."""

MOST_BYTES = 16 * 1024 * 1024
"""Text that one read brings into memory, more or less."""
FIRST_GUESS_BYTES = 256 * 1024
"""Size of a document of a source that was not read yet."""


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
        self._bytes_each: dict[str, float] = {}
        """Mean size of the documents that the last read of a source found."""

    async def reconcile(self, source: str, ids: Sequence[str]) -> dict[str, Reconciled]:
        """Bring documents of one source in step, in every generation that is written to.

        Raises what the store and the index raise.
        """
        done: dict[str, Reconciled] = {}
        for part in self._parts(source, list(dict.fromkeys(ids))):
            done.update(await self._reconcile(source, part))
        return done

    async def backfill(
        self, source: str, ids: Sequence[str], generation: int
    ) -> dict[str, Reconciled]:
        """Write documents of one source, as they are now, to one generation only."""
        done: dict[str, Reconciled] = {}
        for part in self._parts(source, ids):
            writes = await self._read(source, part)
            outcomes = await self._index.write_generation(generation, writes)
            done.update(_reconciled(writes, outcomes))
        return done

    async def _reconcile(self, source: str, ids: Sequence[str]) -> dict[str, Reconciled]:
        done: dict[str, Reconciled] = {}
        waiting = ids
        for _ in range(READS):
            epoch = self._index.epoch  # taken before the read: see SearchIndex.epoch
            writes = await self._read(source, waiting)
            outcomes = await self._index.write(writes, epoch)
            done.update(_reconciled(writes, outcomes))
            waiting = [name for name in waiting if _stale(done[name].outcome)]
            if not waiting:
                break
        return done

    def _parts(self, source: str, ids: Sequence[str]) -> Iterator[Sequence[str]]:
        """Cut ids into parts of about MOST_BYTES of text, as far as the last documents tell."""
        at = 0
        while at < len(ids):
            most = int(MOST_BYTES / self._bytes_each.get(source, FIRST_GUESS_BYTES))
            part = ids[at : at + max(1, most)]
            yield part
            at += len(part)

    async def _read(self, source: str, ids: Sequence[str]) -> list[IndexWrite]:
        read = await self._store.read(source, ids)
        sizes = [len(document.body) for document in read.documents if document.body]
        if sizes:
            self._bytes_each[source] = sum(sizes) / len(sizes)
        return _writes(source, read)


def _reconciled(
    writes: Sequence[IndexWrite], outcomes: Sequence[WriteOutcome]
) -> dict[str, Reconciled]:
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
