"""Both job types reconcile; every job gets the verdict of its own document."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import msgspec
import pytest

from indexer import reconcile
from indexer.metrics import RESULTS, IndexerMetrics
from indexer.processors import outage
from indexer.processors.delete_document import DeleteDocument
from indexer.processors.index_document import IndexDocument
from indexer.processors.settle_batch import RETRY, BatchSettler
from indexer.reconcile import READS, Reconciler
from indexer.search.port import IndexWrite, Outcome, SearchIndex, SearchQuery, WriteOutcome
from indexer.search.tantivy.engine import TantivyEngine
from shared.contracts.jobs import DocumentJob
from shared.documents.memory import MemoryDocumentStore
from shared.documents.port import DocumentWrite, StampedRead
from shared.errors import ConnectionLostError, PermanentError, TransientError
from shared.jobs import Delivery, Job
from shared.observability import logs
from shared.observability.metrics import MetricsTable
from shared.pool.processor import Execution
from shared.postgres.memory import MemoryDatabase
from shared.verdicts import DeadLetter, Done, Retry, Snooze


class BreakableStore(MemoryDocumentStore):
    """Fails as it is told to, and remembers what was read."""

    def __init__(self, database: MemoryDatabase) -> None:
        super().__init__(database)
        self.error: Exception | None = None
        self.poison = ""
        self.reads: list[Sequence[str]] = []

    async def read(self, source: str, ids: Sequence[str]) -> StampedRead:
        self.reads.append(ids)
        if self.error is not None:
            raise self.error
        if self.poison in ids:
            raise PermanentError("division by zero")
        return await super().read(source, ids)


class OverriddenIndex(TantivyEngine):
    """Answers in the engine's place while it has answers."""

    def __init__(self) -> None:
        super().__init__(None)
        self.answers: list[WriteOutcome] = []
        self.error: Exception | None = None

    async def write(self, batch: Sequence[IndexWrite], epoch: int) -> Sequence[WriteOutcome]:
        if self.error is not None:
            raise self.error
        if self.answers:
            return [self.answers.pop(0)] * len(batch)
        return await super().write(batch, epoch)


class World:
    """The processors on real in-memory adapters."""

    def __init__(self) -> None:
        self.database = MemoryDatabase()
        self.store = BreakableStore(self.database)
        self.index = OverriddenIndex()
        self.table = MetricsTable()
        self.metrics = IndexerMetrics(self.table)
        settler = BatchSettler(Reconciler(self.store, self.index), self.metrics, "documents")
        options: dict[str, Any] = {"batch_size": 10, "linger_seconds": 0.0}
        self.index_document = IndexDocument(settler, **options)
        self.delete_document = DeleteDocument(settler, self.metrics, **options)

    async def put(self, *names: str, body: bytes = b'{"title":"plum"}') -> None:
        async with self.database.transaction() as tx:
            writes = [DocumentWrite(name, body, msgspec.json.encode(name)) for name in names]
            await self.store.put(tx, writes)

    async def remove(self, *names: str) -> None:
        async with self.database.transaction() as tx:
            await self.store.remove(tx, names)

    async def found(self) -> list[str]:
        result = await self.index.search(SearchQuery(text="plum"))
        return sorted(hit.key.id for hit in result.hits)

    def counted(self) -> dict[str, int]:
        cells = self.metrics.documents
        values = {result: self.table.total(cells[result].at) for result in RESULTS}
        return {result: int(value) for result, value in values.items() if value}


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    await world.index.open()
    yield world
    await world.index.close()


@pytest.fixture
def said() -> Iterator[io.StringIO]:
    """What is logged meanwhile."""
    stream = io.StringIO()
    logs.configure("info", "json", stream=stream)
    yield stream
    logs.configure("info")


def _batch(*names: str, attempt: int = 1, source: str = "") -> list[Execution[DocumentJob]]:
    return [
        Execution(
            DocumentJob(document_id=name, source=source),
            Delivery(job=Job(type="x"), token=str(n), attempt=attempt),
        )
        for n, name in enumerate(names)
    ]


async def test_present_documents_are_indexed_and_absent_ones_are_deleted(world: World) -> None:
    await world.put("a", "b")
    assert await world.index_document.process_batch(_batch("a", "b", "gone")) == [Done()] * 3
    assert await world.found() == ["a", "b"]
    await world.remove("a")
    assert await world.index_document.process_batch(_batch("a")) == [Done()]
    assert await world.found() == ["b"]
    assert world.counted() == {"indexed": 2, "deleted": 2}


async def test_a_delete_job_for_a_row_that_lives_indexes_it_and_is_counted(world: World) -> None:
    await world.put("a")
    assert await world.delete_document.process_batch(_batch("a", "gone")) == [Done()] * 2
    assert await world.found() == ["a"]
    assert world.counted() == {"indexed": 1, "deleted": 1, "delete_refused": 1}


async def test_one_document_twice_in_a_batch_is_read_and_written_once(world: World) -> None:
    await world.put("a")
    assert await world.index_document.process_batch(_batch("a", "b", "a")) == [Done()] * 3
    assert world.store.reads == [["a", "b"]]
    assert world.counted() == {"indexed": 1, "deleted": 1}


async def test_large_documents_are_read_in_smaller_parts(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconcile, "MOST_BYTES", 1000)
    monkeypatch.setattr(reconcile, "FIRST_GUESS_BYTES", 100)
    names = [f"d{n:02}" for n in range(30)]
    await world.put(*names, body=msgspec.json.encode({"title": "plum" * 46}))
    assert await world.index_document.process_batch(_batch(*names)) == [Done()] * 30
    assert [len(ids) for ids in world.store.reads] == [10, 5, 5, 5, 5]
    assert world.counted() == {"indexed": 30}


async def test_a_refused_document_is_dead_lettered_with_the_reason_alone(world: World) -> None:
    await world.put("a", "c")
    await world.put("bad", body=b"[1]")
    verdicts = await world.index_document.process_batch(_batch("a", "bad", "c"))
    assert verdicts[0] == verdicts[2] == Done()
    assert isinstance(verdicts[1], DeadLetter)
    assert "not a JSON object" in verdicts[1].reason
    assert await world.found() == ["a", "c"]


async def test_overload_is_retried_and_in_the_end_dead_lettered(world: World) -> None:
    world.index.answers = [WriteOutcome(Outcome.TRY_AGAIN, "queue full")] * 2
    (first,) = await world.index_document.process_batch(_batch("a"))
    assert isinstance(first, Retry)
    assert first.error == "queue full"
    (last,) = await world.index_document.process_batch(_batch("a", attempt=RETRY.max_attempts))
    assert isinstance(last, DeadLetter)


@pytest.mark.parametrize("broken", ["store", "index"])
async def test_a_server_that_is_away_spends_no_attempt(world: World, broken: str) -> None:
    getattr(world, broken).error = ConnectionLostError("gone")
    verdicts = await world.index_document.process_batch(_batch("a", "b", attempt=99))
    assert [type(verdict) for verdict in verdicts] == [Snooze, Snooze]
    getattr(world, broken).error = None
    assert await world.index_document.process_batch(_batch("a", "b")) == [Done()] * 2


async def test_while_a_server_is_away_few_batches_try_and_one_line_is_written(
    world: World, said: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outage, "LOOK_SECONDS", 0.1)
    monkeypatch.setattr(outage, "HOLD_SECONDS", 0.35)
    world.index.error = ConnectionLostError("gone")
    batches = [world.index_document.process_batch(_batch(name)) for name in "abcdefghij"]
    await world.index_document.process_batch(_batch("first"))
    verdicts = await asyncio.gather(*batches)
    assert {type(verdict) for (verdict,) in verdicts} == {Snooze}
    assert 3 <= len(world.store.reads) <= 5, "the first, and one look in each interval"
    assert [json.loads(line)["event"] for line in said.getvalue().splitlines()] == [
        "dependency_unavailable"
    ]


async def test_when_the_server_is_back_all_batches_that_wait_go_on(
    world: World, said: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outage, "HOLD_SECONDS", 30.0)
    world.index.error = ConnectionLostError("gone")
    await world.index_document.process_batch(_batch("first"))
    world.index.error = None
    async with asyncio.timeout(5.0):
        verdicts = await asyncio.gather(
            *(world.index_document.process_batch(_batch(name)) for name in "abc")
        )
    assert verdicts == [[Done()]] * 3
    assert "dependency_available" in said.getvalue()


async def test_another_failure_of_the_store_follows_the_retry_policy(world: World) -> None:
    world.store.error = TransientError("deadlock")
    (verdict,) = await world.index_document.process_batch(_batch("a"))
    assert isinstance(verdict, Retry)


async def test_an_unknown_source_spoils_only_its_own_jobs(world: World) -> None:
    await world.put("a")
    batch = [*_batch("a"), *_batch("a", source="typo", attempt=RETRY.max_attempts), *_batch("a")]
    verdicts = await world.index_document.process_batch(batch)
    assert verdicts[0] == verdicts[2] == Done()
    assert isinstance(verdicts[1], DeadLetter)
    assert "typo" in verdicts[1].reason


async def test_a_row_that_breaks_its_source_is_dead_lettered_alone(world: World) -> None:
    names = [f"d{n}" for n in range(9)]
    await world.put(*names)
    world.store.poison = "d4"
    verdicts = await world.index_document.process_batch(_batch(*names, "d4"))
    dead = [at for at, verdict in enumerate(verdicts) if isinstance(verdict, DeadLetter)]
    assert dead == [4, 9]
    assert await world.found() == [name for name in names if name != "d4"]


async def test_documents_are_read_again_when_the_generations_change(world: World) -> None:
    await world.put("a")
    world.index.answers = [WriteOutcome(Outcome.STALE)]
    assert await world.index_document.process_batch(_batch("a")) == [Done()]
    assert world.store.reads == [["a"], ["a"]]


async def test_generations_that_never_hold_still_cost_an_attempt(world: World) -> None:
    world.index.answers = [WriteOutcome(Outcome.STALE, "no such alias")] * READS
    (verdict,) = await world.index_document.process_batch(_batch("a"))
    assert isinstance(verdict, Retry)
    assert world.counted() == {"try_again": 1}


def test_a_job_without_a_document_id_cannot_be_decoded() -> None:
    with pytest.raises(msgspec.ValidationError, match="document_id"):
        msgspec.json.decode(b'{"source":"documents"}', type=IndexDocument.payload_type)


def test_the_fake_keeps_to_the_port(world: World) -> None:
    index: SearchIndex = world.index
    assert index.epoch == 1
