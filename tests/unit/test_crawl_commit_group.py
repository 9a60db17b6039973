"""Nothing is settled that was not committed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from crawler.commit_group import CommitGroup, GroupSettings, Outcome
from crawler.frontier.memory.frontier import MemoryFrontier
from crawler.frontier.port import PageState, Removals, Visited
from crawler.metrics import CrawlerMetrics
from crawler.removal_brake import BrakeSettings, RemovalBrake
from shared.clock import FrozenClock, SystemClock
from shared.documents.memory import MemoryDocumentStore
from shared.documents.port import DOCUMENTS_SOURCE, DocumentWrite
from shared.errors import ConnectionLostError
from shared.observability.metrics import MetricsTable
from shared.postgres.memory import MemoryDatabase
from shared.verdicts import Deferred, Done
from tests.contracts.frontier_stage import SETTINGS, Stage, page, target


class Failing(MemoryDatabase):
    """Loses the connection as often as told, before or after the commit."""

    def __init__(self) -> None:
        super().__init__()
        self.failures: list[str] = []
        self.transactions = 0

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        self.transactions += 1
        failure = self.failures.pop() if self.failures else ""
        if failure == "before":
            raise ConnectionLostError("planted")
        async with super().transaction() as tx:
            yield tx
        if failure == "after":
            raise ConnectionLostError("planted")


class Bench:
    """A commit group at work in memory."""

    def __init__(self, settings: GroupSettings, brake: BrakeSettings) -> None:
        self.database = Failing()
        self.frontier = MemoryFrontier(SETTINGS)
        self.store = MemoryDocumentStore(self.database)
        self.metrics = CrawlerMetrics(MetricsTable())
        self.group = CommitGroup(
            self.database,
            self.frontier,
            self.store,
            RemovalBrake(self.frontier, brake, SystemClock()),
            self.metrics,
            settings=settings,
        )

    async def outcomes(self, count: int) -> list[Outcome]:
        """Return the outcomes of visits to so many pages that were handed out."""

        async def the_same(_: Any = None) -> MemoryFrontier:
            return self.frontier

        async def know(origins: Mapping[str, str]) -> None:
            self.frontier._host_of.update(origins)

        stage = Stage(self.frontier, self.database, the_same, know)
        await stage.discover(*(page("/", f"h{n}.test", "fast") for n in range(count)))
        outcomes = []
        for delivery in await stage.take(count):
            at = target(delivery)
            visit = Visited(
                target=at, state=PageState.FETCHED, reason="ok", next_due_seconds=1.0,
                document_id=at.url_key, content_hash="00" * 16,
            )  # fmt: skip
            document = DocumentWrite(at.url_key, b'{"a":1}', b"\0" * 16)
            outcomes.append(Outcome(visit=visit, document=document))
        return outcomes

    async def count(self) -> int:
        """Return how many documents are stored."""
        return await self.store.count(DOCUMENTS_SOURCE)


Running = Callable[..., Awaitable[Bench]]


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    stop = asyncio.Event()
    tasks: list[asyncio.Task[None]] = []

    async def start(**told: Any) -> Bench:
        brake = told.pop("brake", BrakeSettings())
        bench = Bench(GroupSettings(**told), brake)
        tasks.append(asyncio.create_task(bench.group.run(stop)))
        return bench

    yield start
    stop.set()
    await asyncio.gather(*tasks)


async def submitted(bench: Bench, outcomes: Sequence[Outcome]) -> list[Deferred]:
    return [await bench.group.submit(outcome) for outcome in outcomes]


async def test_many_visits_are_one_transaction(running: Running) -> None:
    bench = await running(max_seconds=0.2)
    deferred = await submitted(bench, await bench.outcomes(20))
    verdicts = await asyncio.gather(*(each.verdict for each in deferred))
    assert verdicts == [Done()] * 20
    assert bench.database.transactions == 1
    assert await bench.count() == 20


async def test_a_group_is_no_larger_than_told(running: Running) -> None:
    bench = await running(max_visits=8, max_seconds=0.2)
    deferred = await submitted(bench, await bench.outcomes(20))
    await asyncio.gather(*(each.verdict for each in deferred))
    assert bench.database.transactions == 3


async def test_no_verdict_before_the_commit(running: Running) -> None:
    bench = await running(max_seconds=30.0)
    (deferred,) = await submitted(bench, await bench.outcomes(1))
    await asyncio.sleep(0.05)
    assert not deferred.verdict.done()
    assert await bench.count() == 0
    deferred.verdict.cancel()


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_lost_connection_is_repeated(running: Running, when: str) -> None:
    bench = await running(max_seconds=0.01)
    outcomes = await bench.outcomes(3)
    bench.database.failures = [when, when]
    deferred = await submitted(bench, outcomes)
    assert await asyncio.gather(*(each.verdict for each in deferred)) == [Done()] * 3
    assert await bench.count() == 3
    assert bench.database.transactions == 3


async def test_a_server_that_stays_away_fails_the_visits(running: Running) -> None:
    bench = await running(max_seconds=0.01, patience_seconds=0.0)
    outcomes = await bench.outcomes(2)
    bench.database.failures = ["before"] * 50
    deferred = await submitted(bench, outcomes)
    for each in deferred:
        with pytest.raises(ConnectionLostError):
            await each.verdict
    assert await bench.count() == 0


async def test_a_visit_that_cannot_be_stored_fails_alone(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = await running(max_seconds=0.2)
    outcomes = await bench.outcomes(4)
    poison = outcomes[1].visit.target.url_key
    put = bench.store.put

    async def refuses(tx: Any, documents: Any) -> int:
        if any(document.id == poison for document in documents):
            raise ValueError("planted")
        return await put(tx, documents)

    monkeypatch.setattr(bench.store, "put", refuses)
    deferred = await submitted(bench, outcomes)
    results = await asyncio.gather(*(each.verdict for each in deferred), return_exceptions=True)
    assert [type(result) for result in results] == [Done, ValueError, Done, Done]
    assert await bench.count() == 3


async def test_a_dropped_visit_stores_no_document(running: Running) -> None:
    bench = await running(max_seconds=0.01)
    (outcome,) = await bench.outcomes(1)
    old = msgspec.structs.replace(outcome.visit.target, epoch=0)
    late = msgspec.structs.replace(
        outcome, visit=msgspec.structs.replace(outcome.visit, target=old)
    )
    (deferred,) = await submitted(bench, [late])
    assert await deferred.verdict == Done()
    assert await bench.count() == 0


async def test_found_urls_are_known_before_the_commit(running: Running) -> None:
    bench = await running(max_seconds=30.0)
    (outcome,) = await bench.outcomes(1)
    found = page("/found", "found.test", "fast")
    (deferred,) = await submitted(bench, [msgspec.structs.replace(outcome, found=[found])])
    assert await bench.frontier.page(found.url_key) is not None
    assert not deferred.verdict.done()
    deferred.verdict.cancel()


async def test_a_full_group_makes_its_submitters_wait() -> None:
    bench = Bench(GroupSettings(max_waiting=1), BrakeSettings())
    first, second = await bench.outcomes(2)
    await bench.group.submit(first)
    waiting = asyncio.create_task(bench.group.submit(second))
    await asyncio.sleep(0.02)
    assert not waiting.done()
    waiting.cancel()


class Counted:
    """A frontier that knows only removals."""

    def __init__(self, live: int, removed: int) -> None:
        self.counts = Removals(live, removed)

    async def removals(self, pack: str, window_seconds: float) -> Removals:
        assert window_seconds == 3600.0
        return self.counts


async def let_through(live: int, removed: int, **told: Any) -> int:
    frontier: Any = Counted(live, removed)
    brake = RemovalBrake(frontier, BrakeSettings(**told), FrozenClock())
    count = 0
    while await brake.lets_through("p"):
        count += 1
    return count


async def test_a_share_of_the_documents_may_go() -> None:
    assert await let_through(1_000, 0, share=0.2, minimum=0) == 200


async def test_what_other_workers_removed_counts() -> None:
    assert await let_through(850, 150, share=0.2, minimum=0) == 50


async def test_a_few_may_always_go() -> None:
    assert await let_through(30, 0, share=0.0, minimum=20) == 20


async def test_the_brake_counts_anew_after_a_while() -> None:
    frontier: Any = Counted(10, 0)
    clock = FrozenClock()
    brake = RemovalBrake(frontier, BrakeSettings(share=0.1, minimum=0), clock)
    assert [await brake.lets_through("p") for _ in range(2)] == [True, False]
    frontier.counts = Removals(100, 0)
    clock.advance(6.0)
    assert await brake.lets_through("p")


async def test_held_removals_are_told_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []

    class Log:
        def warning(self, event: str, *, pack: str, **_: int) -> None:
            told.append(f"{event} {pack}")

    monkeypatch.setattr("crawler.removal_brake.log", Log())
    frontier: Any = Counted(10, 10)
    clock = FrozenClock()
    brake = RemovalBrake(frontier, BrakeSettings(share=0.1, minimum=0), clock)
    for pack in ("p", "p", "q"):
        assert not await brake.lets_through(pack)
    assert told == ["removals_held p", "removals_held q"]
    clock.advance(60.0)
    assert not await brake.lets_through("p")
    assert told[2:] == ["removals_held p"]
