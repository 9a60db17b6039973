"""Reindex: build the next generation from Postgres while writes go on, then search it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

import msgspec
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from indexer.generations import drop_all_but, live_generation
from indexer.reconcile import Reconciled, Reconciler
from indexer.search.port import Outcome, Refusal, SearchIndex
from indexer.verify import VerifyReport, verify
from shared.clock import Clock, SystemClock
from shared.documents.port import DocumentKey, DocumentStore
from shared.errors import ConnectionLostError, DependencyError

PAGE = 500
"""Documents read and written at once."""
PAGES_IN_FLIGHT = 4
_AGAIN_SECONDS = 1.0
_REFUSALS_SHOWN = 20
_OUTAGE_SECONDS = 300.0

_through_outages = retry(
    retry=retry_if_exception_type(ConnectionLostError),
    wait=wait_fixed(_AGAIN_SECONDS),
    stop=stop_after_delay(_OUTAGE_SECONDS),
    reraise=True,
)
"""A server may be away for some minutes without ending a reindex of hours."""


class ReindexReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a reindex did."""

    generation: int
    documents: int
    """Written by the backfill; live writes come on top."""
    refused: int
    """By the backfill, and live writes that only the new generation refused."""
    refusals: Sequence[Refusal]
    """The first of them."""
    verified: VerifyReport
    swapped: bool
    """False when documents were refused or the counts differ: the old generation is still live."""
    dropped: Sequence[int]
    seconds: float


OnProgress = Callable[[int], None]
"""Told how many more documents are done."""


class Reindex:
    """One run."""

    def __init__(
        self,
        store: DocumentStore,
        index: SearchIndex,
        on_progress: OnProgress,
        clock: Clock | None = None,
    ) -> None:
        self._store = store
        self._index = index
        self._reconciler = Reconciler(store, index)
        self._on_progress = on_progress
        self._clock = clock or SystemClock()
        self._documents = 0
        self._refused = 0
        self._refusals: list[Refusal] = []

    async def run(self, *, keep_old: bool, lag_seconds: float = 10.0) -> ReindexReport:
        """Create, backfill, verify, swap. `keep_old` leaves the old one writable for a rollback.

        What an earlier run left unfinished is dropped first. Raises DependencyError when another
        command changes the generations meanwhile, or the index takes no document for five minutes.
        """
        started = self._clock.monotonic()
        old = live_generation(await self._index.generations()).number
        dropped = await drop_all_but(self._index, kept=())
        number = (await self._index.create_generation()).number
        for source in await self._store.sources():
            await self._backfill(source, number)
        verified = await verify(
            self._store,
            self._index,
            generation=number,
            lag_seconds=lag_seconds,
            clock=self._clock,
        )
        for refusal in await self._index.refusals(number):
            self._refuse(refusal)
        swapped = verified.agree and not self._refused
        if swapped:
            await self._index.swap(number)
            dropped += await drop_all_but(self._index, kept=(old,) if keep_old else ())
        return ReindexReport(
            generation=number,
            documents=self._documents,
            refused=self._refused,
            refusals=self._refusals,
            verified=verified,
            swapped=swapped,
            dropped=dropped,
            seconds=self._clock.monotonic() - started,
        )

    async def _backfill(self, source: str, generation: int) -> None:
        """Walk all keys in order, several pages at a time."""
        after: str | None = None
        pages: set[asyncio.Task[None]] = set()
        try:
            while ids := await self._keys_after(source, after):
                after = ids[-1]
                if len(pages) == PAGES_IN_FLIGHT:
                    done, pages = await asyncio.wait(pages, return_when=asyncio.FIRST_COMPLETED)
                    for page in done:
                        page.result()
                pages.add(asyncio.create_task(self._write_page(source, ids, generation)))
            await asyncio.gather(*pages)
        finally:
            for page in pages:
                page.cancel()

    @_through_outages
    async def _keys_after(self, source: str, after: str | None) -> Sequence[str]:
        return await self._store.keys_after(source, after, PAGE)

    @_through_outages
    async def _write(
        self, source: str, ids: Sequence[str], generation: int
    ) -> dict[str, Reconciled]:
        return await self._reconciler.backfill(source, ids, generation)

    async def _write_page(self, source: str, ids: Sequence[str], generation: int) -> None:
        waiting = ids
        give_up_at = self._clock.monotonic() + _OUTAGE_SECONDS
        while waiting:
            done = await self._write(source, waiting, generation)
            self._take(source, done)
            waiting = [name for name in waiting if done[name].outcome.outcome is Outcome.TRY_AGAIN]
            if not waiting:
                break
            if self._clock.monotonic() >= give_up_at:
                reason = done[waiting[0]].outcome.reason
                raise DependencyError(f"the index takes no document for minutes: {reason}")
            await asyncio.sleep(_AGAIN_SECONDS)
        self._on_progress(len(ids))

    def _take(self, source: str, done: Mapping[str, Reconciled]) -> None:
        for name, reconciled in done.items():
            outcome = reconciled.outcome
            if outcome.outcome is Outcome.STALE:
                raise DependencyError(f"another command changed the generations: {outcome.reason}")
            if outcome.outcome is Outcome.REFUSED:
                self._refuse(Refusal(DocumentKey(source, name), outcome.reason))
            elif outcome.outcome is not Outcome.TRY_AGAIN:
                self._documents += 1

    def _refuse(self, refusal: Refusal) -> None:
        self._refused += 1
        if len(self._refusals) < _REFUSALS_SHOWN:
            self._refusals.append(refusal)
