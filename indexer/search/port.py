"""The search index port."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Any, Protocol

import msgspec

from shared.documents.port import DocumentKey


class IndexWrite(msgspec.Struct, frozen=True, gc=False):
    """A document, or its absence, under the stamp it was read with."""

    key: DocumentKey
    stamp: int
    body: bytes | None
    """JSON text of an object; None writes a tombstone."""
    content_hash: bytes | None = None


class Outcome(Enum):
    """What became of one write."""

    WRITTEN = "written"
    SUPERSEDED = "superseded"
    """The index already holds a higher stamp: as good as written."""
    REFUSED = "refused"
    """The index will never take this document; see the reason."""
    TRY_AGAIN = "try_again"
    """The server could not take it now (overload, a shard that moves)."""
    STALE = "stale"
    """The fan-out changed after the epoch was taken: take it, read and write again."""


class WriteOutcome(msgspec.Struct, frozen=True, gc=False):
    """The outcome of one write, with the server's own words when it was refused."""

    outcome: Outcome
    reason: str = ""


class SearchQuery(msgspec.Struct, frozen=True, kw_only=True):
    """A full-text query in the suite's own terms, the same for every adapter."""

    text: str
    source: str = ""
    """Only this source; empty searches all."""
    limit: int = 10
    offset: int = 0


class Hit(msgspec.Struct, frozen=True):
    """One document that matched, best first."""

    key: DocumentKey
    score: float
    body: dict[str, Any]


class SearchResult(msgspec.Struct, frozen=True):
    """Hits, and how many documents match in all."""

    total: int
    hits: Sequence[Hit]


class Generation(msgspec.Struct, frozen=True):
    """One physical index behind the alias that is searched."""

    number: int
    live: bool
    """Searched now."""
    writable: bool
    """In the fan-out of writes."""
    documents: int
    """Live documents in it, tombstones not counted."""


class Refusal(msgspec.Struct, frozen=True):
    """A document that a generation will not take, in the server's words."""

    key: DocumentKey
    reason: str


class SearchIndex(Protocol):
    """An index with generations: writes go to all that are writable, searches to the live one."""

    async def open(self) -> None:
        """Connect, check the server, and create generation 1 when there is none.

        Raises DependencyError when the server cannot be used.
        """
        ...

    @property
    def epoch(self) -> int:
        """The fan-out's configuration as this process knows it. Take it before reading documents.

        A document that was read before a generation joined the fan-out may be older than a
        tombstone which that generation never got; so it must not be written there, but read again.
        """
        ...

    async def write(self, batch: Sequence[IndexWrite], epoch: int) -> Sequence[WriteOutcome]:
        """Write a batch; return one outcome for each write, in order. Nothing is dropped.

        `epoch` is the one taken before the documents were read. The live generation's answer is
        the outcome; what another generation refuses is kept against that one: see `refusals`.
        Raises ConnectionLostError when the server cannot be reached.
        """
        ...

    async def refresh(self) -> None:
        """Make all acknowledged writes visible to search."""
        ...

    async def search(self, query: SearchQuery) -> SearchResult:
        """Search live documents of the live generation."""
        ...

    async def count(self, source: str, generation: int | None = None) -> int:
        """Return how many live documents of a source a generation (default: the live one) has."""
        ...

    async def generations(self) -> Sequence[Generation]:
        """List all generations, oldest first."""
        ...

    async def create_generation(self) -> Generation:
        """Create the next generation and add it to the fan-out: all later writes reach it.

        When this returns, every write that does not know the new generation is either answered
        STALE or was read before: a backfill that reads from now on misses nothing.
        """
        ...

    async def write_generation(
        self, number: int, batch: Sequence[IndexWrite]
    ) -> Sequence[WriteOutcome]:
        """Write to one generation only: the backfill of a reindex.

        The answer is STALE when the fan-out is not the one this process knows.
        """
        ...

    async def refusals(self, number: int) -> Sequence[Refusal]:
        """Return live writes that a generation refused while another was live; 1,000 at most.

        It lacks those documents, so it must not be searched. One that it took later is not listed.
        """
        ...

    async def swap(self, number: int) -> None:
        """Make a generation the one that is searched, atomically; the old one stays writable."""
        ...

    async def drop(self, number: int) -> None:
        """Delete a generation that is not live. Raises ValueError for the live one."""
        ...

    async def close(self) -> None:
        """Let go of connections and files."""
        ...
