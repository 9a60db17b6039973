"""Commits many visits in one transaction: pages, documents and outbox rows together."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial

import msgspec

from crawler.frontier.port import Discovered, Frontier, PageState, Visited
from crawler.metrics import CrawlerMetrics
from crawler.reasons import Reason
from crawler.removal_brake import RemovalBrake
from shared.clock import Clock, SystemClock
from shared.documents.port import DocumentStore, DocumentWrite
from shared.errors import ConnectionLostError
from shared.observability.logs import get_logger
from shared.pool.repeat import repeat_until_heard
from shared.postgres.port import Database
from shared.verdicts import Deferred, Done, Verdict

log = get_logger(__name__)


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a visit leads to."""

    visit: Visited
    document: DocumentWrite | None = None
    """To be stored; None when it has not changed, or there is none."""
    found: Sequence[Discovered] = ()
    """To be discovered before the visit is committed."""
    left_out: Mapping[str, int] = {}
    """How many links were left out, by reason code."""


class GroupSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How large and how late a transaction may be."""

    max_visits: int = 64
    max_seconds: float = 0.05
    max_waiting: int = 512
    """More are not taken in: whoever brings one waits, and holds its slot."""
    patience_seconds: float = 20.0
    """How long a lost server is waited for."""


class _Waiting(msgspec.Struct, frozen=True):
    outcome: Outcome
    verdict: asyncio.Future[Verdict]


class CommitGroup:
    """A service. Nothing is settled that was not committed: a verdict follows its commit."""

    def __init__(
        self,
        database: Database,
        frontier: Frontier,
        documents: DocumentStore,
        brake: RemovalBrake,
        metrics: CrawlerMetrics,
        *,
        settings: GroupSettings | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._database = database
        self._frontier = frontier
        self._documents = documents
        self._brake = brake
        self._metrics = metrics
        self._settings = settings or GroupSettings()
        self._clock = clock or SystemClock()
        self._waiting: asyncio.Queue[_Waiting] = asyncio.Queue(self._settings.max_waiting)

    async def submit(self, outcome: Outcome) -> Deferred:
        """Discover what was found, and take the visit in; its verdict comes with its commit."""
        if outcome.found:
            self._metrics.discovered.add(await self._frontier.discover(outcome.found))
        verdict: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
        await self._waiting.put(_Waiting(outcome, verdict))
        return Deferred(verdict)

    async def run(self, stop: asyncio.Event) -> None:
        """Commit group after group, until `stop` is set and nothing waits."""
        stopping = asyncio.create_task(stop.wait())
        while not (stop.is_set() and self._waiting.empty()):
            group = await self._gather(stopping)
            if group:
                await self._settle(group)
        stopping.cancel()

    async def _gather(self, stopping: asyncio.Task[bool]) -> list[_Waiting]:
        """Wait for a first visit, then a little for more."""
        first = asyncio.ensure_future(self._waiting.get())
        await asyncio.wait({first, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not first.done():
            first.cancel()
            return []
        if self._waiting.qsize() + 1 < self._settings.max_visits:
            await asyncio.wait({stopping}, timeout=self._settings.max_seconds)
        more = min(self._waiting.qsize(), self._settings.max_visits - 1)
        return [first.result(), *(self._waiting.get_nowait() for _ in range(more))]

    async def _settle(self, group: Sequence[_Waiting]) -> None:
        give_up_at = self._clock.monotonic() + self._settings.patience_seconds
        try:
            await repeat_until_heard(
                partial(self._commit, [each.outcome for each in group]),
                lambda: self._clock.monotonic() > give_up_at,
            )
        except ConnectionLostError as error:
            _fail(group, error)
        except Exception as error:  # noqa: BLE001 - one visit that cannot be stored fails alone
            if len(group) == 1:
                _fail(group, error)
                return
            log.warning("commit_group_split", visits=len(group), error=repr(error))
            for each in group:
                await self._settle([each])
        else:
            for each in group:
                if not each.verdict.done():
                    each.verdict.set_result(Done())

    async def _commit(self, outcomes: Sequence[Outcome]) -> None:
        begun = self._clock.monotonic()
        braked = [await self._braked(outcome) for outcome in outcomes]
        visits = [outcome.visit for outcome in braked]
        async with self._database.transaction() as tx:
            accepted = set(await self._frontier.commit(tx, visits))
            kept = [each for each in braked if each.visit.target.url_key in accepted]
            documents = [each.document for each in kept if each.document is not None]
            gone = [each.visit.target.url_key for each in kept if each.visit.removed]
            written = await self._documents.put(tx, documents) if documents else 0
            removed = await self._documents.remove(tx, gone) if gone else 0
        self._count(kept, len(outcomes) - len(kept), written, removed)
        self._metrics.commit_seconds.observe(self._clock.monotonic() - begun)

    async def _braked(self, outcome: Outcome) -> Outcome:
        visit = outcome.visit
        if not visit.removed or await self._brake.lets_through(visit.target.pack):
            return outcome
        self._metrics.removals_held.add()
        return Outcome(visit=held_back(visit))

    def _count(self, kept: Sequence[Outcome], dropped: int, written: int, removed: int) -> None:
        metrics = self._metrics
        for outcome in kept:
            if outcome.visit.target.kind == "page":
                metrics.pages[outcome.visit.state.value].add()
            for reason, links in outcome.left_out.items():
                metrics.links_left_out[reason].add(links)
        live = sum(1 for outcome in kept if outcome.visit.document_id)
        metrics.documents_written.add(written)
        metrics.documents_unchanged.add(live - written)
        metrics.documents_removed.add(removed)
        metrics.commits_dropped.add(dropped)


HELD_SECONDS = 3600.0
"""When a page whose removal was held back is looked at again."""


def held_back(visit: Visited) -> Visited:
    """Turn a visit that removes a document into one that keeps it and says why."""
    target = visit.target
    return msgspec.structs.replace(
        visit,
        state=PageState.FAILING,
        reason=Reason.REMOVAL_HELD.value,
        detail=f"would be removed: {visit.reason}",
        removed=False,
        content_hash=target.content_hash,
        document_id=target.url_key,
        etag="",
        last_modified="",
        next_due_seconds=HELD_SECONDS,
        body=b"",
    )


def _fail(group: Sequence[_Waiting], error: Exception) -> None:
    for each in group:
        if not each.verdict.done():
            each.verdict.set_exception(error)
