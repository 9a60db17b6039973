"""How far crawl and index have come, and when both have settled."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import msgspec

from indexer.search.port import SearchIndex
from shared.documents.port import DOCUMENTS_SOURCE
from shared.errors import DependencyError
from shared.queue.port import Queue

_POLL_SECONDS = 0.15
_SOON_SECONDS = 5

_LOOK = f"""
SELECT count(*) FILTER (WHERE last_visit_at IS NOT NULL) AS visited,
       count(*) FILTER (WHERE kind = 'page' AND status > 0) AS answered,
       count(*) FILTER (WHERE claimed_by IS NOT NULL
                           OR due < now() + interval '{_SOON_SECONDS} s') AS open,
       (SELECT count(*) FROM worker_suite.documents WHERE NOT deleted) AS documents,
       (SELECT count(*) FROM worker_suite.outbox) AS outbox
FROM worker_suite.pages WHERE kind <> 'robots'
"""  # noqa: S608 - no input of anybody's

_OUTCOMES = """
SELECT state, reason, count(*) AS pages, min(url) AS example
FROM worker_suite.pages WHERE kind = 'page' GROUP BY state, reason ORDER BY count(*) DESC, reason
"""

_TITLE = """
SELECT document.body ->> 'title'
FROM worker_suite.pages AS page JOIN worker_suite.documents AS document
  ON document.id = page.document_id AND NOT document.deleted
ORDER BY page.depth, page.url LIMIT 1
"""

_COMPLAINTS = """
SELECT DISTINCT ON (detail) url, detail FROM worker_suite.pages WHERE detail <> '' LIMIT 3
"""


class Progress(msgspec.Struct, frozen=True):
    """Counts at one moment."""

    visited: int
    """URLs that have been dealt with once, sitemaps among them."""
    answered: int
    """Pages that a server answered for, redirects and errors included."""
    open: int
    """URLs that are being fetched, or are due within seconds."""
    documents: int
    """Live documents in Postgres."""
    outbox: int
    """Changes that have not been published."""
    jobs: int
    """Index jobs that are not finished."""
    indexed: int
    """Live documents in the index."""

    @property
    def settled(self) -> bool:
        """Whether nothing is on its way any more."""
        waiting = self.open + self.outbox + self.jobs
        return waiting == 0 and self.visited > 0 and self.documents == self.indexed


class Outcome(msgspec.Struct, frozen=True):
    """What became of pages that ended alike, and one of them."""

    state: str
    reason: str
    pages: int
    example: str


class Observer:
    """Looks at Postgres, the queue and the index, and changes nothing."""

    def __init__(self, connection: Any, queue: Queue, index: SearchIndex) -> None:
        """`connection` is an asyncpg connection to the database of the workers."""
        self._connection = connection
        self._queue = queue
        self._index = index

    async def look(self) -> Progress:
        """Count, in the order of the data's way, so that nothing slips past unseen."""
        row = await self._connection.fetchrow(_LOOK)
        depth = await self._queue.depth()
        jobs = depth.inbox + depth.ready + depth.delayed + depth.leased
        await self._index.refresh()
        indexed = await self._index.count(DOCUMENTS_SOURCE)
        return Progress(**row, jobs=jobs, indexed=indexed)

    async def outcomes(self) -> list[Outcome]:
        """Return what became of all pages, the most frequent first."""
        return [Outcome(**row) for row in await self._connection.fetch(_OUTCOMES)]

    async def title_of_one(self) -> str:
        """Return the title of the page nearest to the seed, to have something to search for."""
        return str(await self._connection.fetchval(_TITLE) or "")

    async def complaints(self) -> list[str]:
        """Return in words what stood in the way of some URLs, robots.txt included."""
        rows = await self._connection.fetch(_COMPLAINTS)
        return [f"{row['url']}: {row['detail']}" for row in rows]

    async def settle(self, tell: Callable[[Progress], None], patience_seconds: float) -> Progress:
        """Return when crawl and index have settled.

        Raises DependencyError when nothing has moved for `patience_seconds`.
        """
        last, moved_at = None, time.monotonic()
        while True:
            now = await self.look()
            if now.settled:
                return now
            if now != last:
                last, moved_at = now, time.monotonic()
                tell(now)
            elif time.monotonic() - moved_at > patience_seconds:
                raise DependencyError(f"nothing has moved for {patience_seconds:.0f} s: {now}")
            await asyncio.sleep(_POLL_SECONDS)
