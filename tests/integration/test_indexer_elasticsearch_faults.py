"""Elasticsearch that goes away, and one that answers badly: no document is lost in silence."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import chain

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from elasticsearch import AsyncElasticsearch

from indexer.search.elasticsearch import body_size
from indexer.search.elasticsearch.bulk_writer import BulkWriter
from indexer.search.elasticsearch.connection import connect
from indexer.search.elasticsearch.index import ElasticsearchIndex
from indexer.search.port import Outcome, WriteOutcome
from shared.documents.port import DocumentKey
from shared.errors import ConnectionLostError, DependencyError
from tests.contracts.search_indexes import document, ignore_bulk, write
from tests.integration.indexer_world import in_index, indexer_world
from tests.services.elasticsearch import Elasticsearch

Answer = Callable[[list[str]], Awaitable[web.StreamResponse]]
BATCH = [document(f"d{n}", 5, text="x" * 50) for n in range(8)]


@pytest.mark.timeout(240)  # two starts of the server on a busy machine
async def test_a_restart_in_full_work_loses_nothing(
    elasticsearch_server: Elasticsearch, database_url: str
) -> None:
    names = [f"n{number}" for number in range(400)]
    async with indexer_world(database_url) as world:
        index = ElasticsearchIndex(elasticsearch_server.url, "docs", ignore_bulk)
        await index.open()
        await world.put(*names)
        stop = asyncio.Event()
        writers = [
            asyncio.create_task(world.change_at_random(index, names[part::3], stop))
            for part in range(3)
        ]
        await asyncio.to_thread(elasticsearch_server.kill)
        put_off = asyncio.create_task(world.run_jobs(world.processor(index), names))
        await asyncio.to_thread(elasticsearch_server.start)
        assert await put_off > 0
        stop.set()
        await asyncio.gather(*writers)
        assert await in_index(index) == await world.in_postgres()
        await index.close()


class ScriptedServer:
    """Answers bulks as the test says."""

    def __init__(self) -> None:
        self.answer: Answer = _all_written
        self.bodies: list[list[str]] = []
        self.sizes: list[int] = []

    async def bulk(self, request: web.Request) -> web.StreamResponse:
        """Remember the ids of a bulk, and answer it."""
        body = await request.read()
        self.sizes.append(len(body))
        lines = body.splitlines()
        self.bodies.append([orjson.loads(line)["index"]["_id"] for line in lines[::2]])
        return await self.answer(self.bodies[-1])


async def _all_written(ids: list[str]) -> web.StreamResponse:
    return _answer({"items": [{"index": {"status": 201}} for _ in ids]})


def _answer(body: object, status: int = 200) -> web.Response:
    return web.Response(
        body=orjson.dumps(body),
        status=status,
        headers={"x-elastic-product": "Elasticsearch", "content-type": "application/json"},
    )


@pytest.fixture
def scripted() -> ScriptedServer:
    """The server's script."""
    return ScriptedServer()


@pytest.fixture
async def client(scripted: ScriptedServer) -> AsyncIterator[AsyncElasticsearch]:
    app = web.Application(client_max_size=1 << 30)
    app.router.add_post("/_bulk", scripted.bulk)
    server = TestServer(app, host="127.0.0.1")
    await server.start_server()
    client = connect(str(server.make_url("/")))
    yield client
    await client.close()
    await server.close()


async def _write(client: AsyncElasticsearch, **options: int) -> list[WriteOutcome]:
    return list(await BulkWriter(client, ignore_bulk, **options).write(BATCH, ["docs-w"]))


async def test_bodies_are_bounded_and_each_document_is_sent_once(
    scripted: ScriptedServer, client: AsyncElasticsearch
) -> None:
    outcomes = await _write(client, body_bytes=900)
    assert 1 < max(len(body) for body in scripted.bodies) < 8
    assert max(scripted.sizes) <= 900
    assert sorted(chain(*scripted.bodies)) == [f"documents:d{n}" for n in range(8)]
    assert outcomes == [WriteOutcome(Outcome.WRITTEN)] * 8


async def test_bodies_shrink_under_load_and_grow_again(
    scripted: ScriptedServer, client: AsyncElasticsearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(body_size, "LEAST_BYTES", 300)
    monkeypatch.setattr(body_size, "STEP_BYTES", 1000)
    writer = BulkWriter(client, ignore_bulk, body_bytes=10_000)

    async def bodies_of_a_batch(status: int, item: int) -> int:
        async def answer(ids: list[str]) -> web.StreamResponse:
            return _answer({"items": [{"index": {"status": item}} for _ in ids]}, status)

        scripted.answer = answer
        scripted.bodies.clear()
        await writer.write(BATCH, ["docs-w"])
        return len(scripted.bodies)

    assert await bodies_of_a_batch(429, 0) == 1
    assert await bodies_of_a_batch(200, 429) == 1
    fallen = [await bodies_of_a_batch(200, 429) for _ in range(3)]
    assert fallen[0] < fallen[1] <= fallen[2] == 8, "halved each time, and by each body"
    risen = [await bodies_of_a_batch(200, 201) for _ in range(4)]
    assert (risen[0], risen[-1]) == (8, 1)


async def test_only_so_many_bulks_are_in_flight(
    scripted: ScriptedServer, client: AsyncElasticsearch
) -> None:
    now, most, released = 0, 0, asyncio.Event()

    async def slow(ids: list[str]) -> web.StreamResponse:
        nonlocal now, most
        now += 1
        most = max(most, now)
        if most == 3:
            released.set()
        async with asyncio.timeout(20):
            await released.wait()
        now -= 1
        return await _all_written(ids)

    scripted.answer = slow
    assert len(await _write(client, body_bytes=1, max_in_flight=3)) == 8
    assert most == 3


@pytest.mark.parametrize("status", [400, 413])
async def test_a_body_that_is_refused_as_a_whole_is_halved_down_to_the_bad_document(
    scripted: ScriptedServer, client: AsyncElasticsearch, status: int
) -> None:
    async def refuse_d5(ids: list[str]) -> web.StreamResponse:
        if "documents:d5" in ids:
            return _answer({"error": {"type": "bad", "reason": "too large for me"}}, status)
        return await _all_written(ids)

    scripted.answer = refuse_d5
    outcomes = await _write(client)
    assert outcomes[5] == WriteOutcome(Outcome.REFUSED, "bad: too large for me")
    assert [o.outcome for n, o in enumerate(outcomes) if n != 5] == [Outcome.WRITTEN] * 7


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
async def test_an_overloaded_server_is_to_be_asked_again(
    scripted: ScriptedServer, client: AsyncElasticsearch, status: int
) -> None:
    async def refuse(ids: list[str]) -> web.StreamResponse:
        return _answer({"error": {"type": "es_rejected", "reason": "full"}}, status)

    scripted.answer = refuse
    assert await _write(client) == [WriteOutcome(Outcome.TRY_AGAIN, "es_rejected: full")] * 8
    assert len(scripted.bodies) == 1  # the client did not repeat it behind our back


@pytest.mark.parametrize(
    "body", [b'{"items":[{"index":{"sta', b"", b"<html>", b'{"items":[]}', b'{"took":3}']
)
async def test_half_an_answer_is_no_answer(
    scripted: ScriptedServer, client: AsyncElasticsearch, body: bytes
) -> None:
    async def half(ids: list[str]) -> web.StreamResponse:
        headers = {"x-elastic-product": "Elasticsearch", "content-type": "application/json"}
        return web.Response(body=body, headers=headers)

    scripted.answer = half
    assert {outcome.outcome for outcome in await _write(client)} == {Outcome.TRY_AGAIN}


async def test_outcomes_are_matched_by_position(
    scripted: ScriptedServer, client: AsyncElasticsearch
) -> None:
    statuses = [201, 409, 400, 429, 404, 200, 503, 409]

    async def mixed(ids: list[str]) -> web.StreamResponse:
        conflict = "current version [7] is higher or equal to the one provided [5]"
        kind = {"type": "index_not_found_exception", "reason": conflict}
        return _answer({"items": [{"index": {"status": s, "error": kind}} for s in statuses]})

    scripted.answer = mixed
    assert [outcome.outcome for outcome in await _write(client)] == [
        Outcome.WRITTEN,
        Outcome.SUPERSEDED,
        Outcome.REFUSED,
        Outcome.TRY_AGAIN,
        Outcome.STALE,
        Outcome.WRITTEN,
        Outcome.TRY_AGAIN,
        Outcome.SUPERSEDED,
    ]


async def test_a_connection_that_breaks_is_a_lost_connection(
    scripted: ScriptedServer, client: AsyncElasticsearch
) -> None:
    async def hang_up(ids: list[str]) -> web.StreamResponse:
        raise asyncio.CancelledError  # aiohttp closes the connection

    scripted.answer = hang_up
    with pytest.raises(ConnectionLostError):
        await _write(client)


async def test_a_refused_login_is_said_so(
    scripted: ScriptedServer, client: AsyncElasticsearch
) -> None:
    async def refuse(ids: list[str]) -> web.StreamResponse:
        return _answer({"error": {"type": "security_exception", "reason": "who are you"}}, 401)

    scripted.answer = refuse
    with pytest.raises(DependencyError, match="who are you"):
        await _write(client)


async def test_an_analyzer_that_the_server_lacks_is_named_at_start(
    elasticsearch_url: str, index_prefix: str
) -> None:
    index = ElasticsearchIndex(elasticsearch_url, index_prefix, ignore_bulk, analyzer="klingon")
    with pytest.raises(DependencyError, match="INDEX_ANALYZER='klingon'"):
        await index.open()
    await index.close()


async def test_a_missing_server_is_named_at_start() -> None:
    index = ElasticsearchIndex("http://127.0.0.1:9", "docs", ignore_bulk)
    with pytest.raises(DependencyError, match="ELASTICSEARCH_URL"):
        await index.open()
    await index.close()


async def test_an_index_that_is_not_ours_is_not_touched(
    elasticsearch_url: str, index_prefix: str
) -> None:
    client = connect(elasticsearch_url)
    await client.indices.create(index=index_prefix)
    index = ElasticsearchIndex(elasticsearch_url, index_prefix, ignore_bulk)
    with pytest.raises(DependencyError, match=index_prefix):
        await index.open()
    await index.close()
    await client.close()


async def test_two_workers_that_start_at_once_share_generation_one(
    elasticsearch_url: str, index_prefix: str
) -> None:
    both = [ElasticsearchIndex(elasticsearch_url, index_prefix, ignore_bulk) for _ in range(2)]
    await asyncio.gather(*(index.open() for index in both))
    assert len(await both[0].generations()) == 1
    assert both[0].epoch == both[1].epoch == 1
    for index in both:
        await index.close()


async def test_a_deleted_index_is_not_made_anew_by_a_write(
    elasticsearch_url: str, index_prefix: str
) -> None:
    """Elasticsearch would create one with guessed types; `require_alias` forbids it."""
    index = ElasticsearchIndex(elasticsearch_url, index_prefix, ignore_bulk)
    client = connect(elasticsearch_url)
    await index.open()
    await client.indices.delete(index=f"{index_prefix}-g000001")
    for _ in range(2):
        (outcome,) = await index.write(BATCH[:1], index.epoch)
        assert outcome.outcome is Outcome.STALE
    assert (await client.indices.get_alias(index=f"{index_prefix}*")).body == {}
    await index.close()
    await client.close()


async def test_what_only_the_candidate_refuses_is_kept_against_it(
    elasticsearch_url: str, index_prefix: str
) -> None:
    index = ElasticsearchIndex(elasticsearch_url, index_prefix, ignore_bulk)
    client = connect(elasticsearch_url)
    try:
        await index.open()
        await index.create_generation()
        await client.indices.put_mapping(
            index=f"{index_prefix}-g000002", properties={"price": {"type": "integer"}}
        )
        assert await write(index, document("x", 5, price=1)) == [Outcome.WRITTEN]
        batch = [document("x", 6, price="much"), document("y", 6, price=2)]
        assert await write(index, *batch) == [Outcome.WRITTEN] * 2
        (refusal,) = await index.refusals(2)
        assert refusal.key == DocumentKey("documents", "x")
        assert "price" in refusal.reason
        assert await index.count("documents", 1) == 2
        assert await index.count("documents", 2) == 1, "its old text is not left behind"
        assert not await index.refusals(1)
        assert await write(index, document("x", 7, price=3)) == [Outcome.WRITTEN]
        assert not await index.refusals(2), "it took a later version"
    finally:
        await client.close()
        await index.close()


async def test_a_document_whose_refusal_could_not_be_kept_is_written_again(
    scripted: ScriptedServer, client: AsyncElasticsearch
) -> None:
    async def refuse_in_the_second_alias(ids: list[str]) -> web.StreamResponse:
        if len(scripted.bodies) > 1:
            return _answer({"error": {"type": "es_rejected", "reason": "full"}}, 429)
        error = {"type": "bad", "reason": "no"}
        items = [
            {"index": {"status": 400, "error": error} if n == 3 else {"status": 201}}
            for n in range(len(ids))
        ]
        return _answer({"items": items})

    scripted.answer = refuse_in_the_second_alias
    outcomes = list(await BulkWriter(client, ignore_bulk).write(BATCH, ["live", "candidate"]))
    assert scripted.bodies[1] == ["documents:d1"]
    assert outcomes.pop(1).outcome is Outcome.TRY_AGAIN
    assert outcomes == [WriteOutcome(Outcome.WRITTEN)] * 7
