"""Verify: does the index hold as many live documents of each source as Postgres?"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from indexer.search.port import SearchIndex
from shared.clock import Clock, SystemClock
from shared.documents.port import DocumentStore

EXIT_CODE_DIFFERENT = 5
_RECHECK_SECONDS = 0.5


class SourceCounts(msgspec.Struct, frozen=True, kw_only=True):
    """Live documents of one source on both sides."""

    source: str
    in_postgres: int
    """As last counted."""
    in_index: int
    agree: bool


class VerifyReport(msgspec.Struct, frozen=True, kw_only=True):
    """The counts of all sources."""

    generation: int | None
    """None for the live one."""
    sources: Sequence[SourceCounts]

    @property
    def agree(self) -> bool:
        """Whether all sources agree."""
        return all(counts.agree for counts in self.sources)


async def verify(
    store: DocumentStore,
    index: SearchIndex,
    *,
    generation: int | None = None,
    lag_seconds: float = 10.0,
    clock: Clock | None = None,
) -> VerifyReport:
    """Compare counts, again and again for at most `lag_seconds` while they differ.

    While writes go on, the index follows Postgres at some distance; so it agrees when its count
    lies between the lowest and the highest that Postgres had since the check began. Without
    writes that is equality.
    """
    clock = clock or SystemClock()
    counts = [
        await _compare(store, index, source, generation, clock.monotonic() + lag_seconds, clock)
        for source in await store.sources()
    ]
    return VerifyReport(generation=generation, sources=counts)


async def _compare(
    store: DocumentStore,
    index: SearchIndex,
    source: str,
    generation: int | None,
    deadline: float,
    clock: Clock,
) -> SourceCounts:
    seen: list[int] = []
    while True:
        seen.append(await store.count(source))
        await index.refresh()
        indexed = await index.count(source, generation)
        seen.append(await store.count(source))
        agree = min(seen) <= indexed <= max(seen)
        if agree or clock.monotonic() >= deadline:
            return SourceCounts(source=source, in_postgres=seen[-1], in_index=indexed, agree=agree)
        await asyncio.sleep(_RECHECK_SECONDS)
