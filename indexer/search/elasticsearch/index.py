"""The search index on Elasticsearch 9."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from elasticsearch import AsyncElasticsearch

from indexer.search.elasticsearch.bulk_writer import BulkWriter, OnBulk
from indexer.search.elasticsearch.catalog import Catalog
from indexer.search.elasticsearch.connection import answered, check_server, connect
from indexer.search.elasticsearch.generation_admin import GenerationAdmin
from indexer.search.elasticsearch.mapping import LIVE_ONLY, META, REFUSED
from indexer.search.elasticsearch.search_body import search_query
from indexer.search.port import (
    Generation,
    Hit,
    IndexWrite,
    Outcome,
    Refusal,
    SearchQuery,
    SearchResult,
    WriteOutcome,
)
from shared.documents.port import DocumentKey

MOST_REFUSALS = 1000


class ElasticsearchIndex:
    """Generations are physical indices, the fan-out is their write aliases."""

    def __init__(
        self,
        url: str,
        name: str,
        on_bulk: OnBulk,
        *,
        shards: int = 1,
        analyzer: str = "standard",
    ) -> None:
        self._client: AsyncElasticsearch = connect(url)
        self._name = name
        self._analyzer = analyzer
        self._bulk = BulkWriter(self._client, on_bulk)
        self._admin = GenerationAdmin(self._client, name, shards=shards, analyzer=analyzer)
        self._catalog = Catalog()

    async def open(self) -> None:
        await check_server(self._client, self._analyzer)
        await self._admin.ensure_first()
        self._catalog = await self._admin.read()

    @property
    def epoch(self) -> int:
        return self._catalog.epoch

    async def write(self, batch: Sequence[IndexWrite], epoch: int) -> Sequence[WriteOutcome]:
        catalog = self._catalog
        if catalog.live is None or epoch != catalog.epoch:
            await self._reload(catalog)
            return [_STALE] * len(batch)
        return await self._write(catalog, batch, catalog.fan_out())

    async def write_generation(
        self, number: int, batch: Sequence[IndexWrite]
    ) -> Sequence[WriteOutcome]:
        catalog = self._catalog
        alias = catalog.write_aliases.get(number)
        if alias is None:
            return [_STALE] * len(batch)
        return await self._write(catalog, batch, [alias])

    async def _write(
        self, catalog: Catalog, batch: Sequence[IndexWrite], aliases: Sequence[str]
    ) -> Sequence[WriteOutcome]:
        outcomes = await self._bulk.write(batch, aliases)
        if any(outcome.outcome is Outcome.STALE for outcome in outcomes):
            await self._reload(catalog)
        return outcomes

    async def _reload(self, stale: Catalog) -> None:
        if self._catalog is stale:
            self._catalog = await self._admin.read()

    async def refresh(self) -> None:
        with answered():
            await self._client.indices.refresh(index=f"{self._name}-g*")

    async def search(self, query: SearchQuery) -> SearchResult:
        with answered():
            text = await self._client.field_caps(index=self._name, fields="*", types="text")
            answer = await self._client.search(
                index=self._name,
                query=search_query(query, text["fields"]),
                size=query.limit,
                from_=query.offset,
                track_total_hits=True,
            )
        hits = answer["hits"]
        return SearchResult(total=hits["total"]["value"], hits=[_hit(hit) for hit in hits["hits"]])

    async def count(self, source: str, generation: int | None = None) -> int:
        index = self._name if generation is None else self._admin.index(generation)
        of_source = {"term": {f"{META}.source": source}}
        with answered():
            answer = await self._client.count(
                index=index, query={"bool": {"filter": [LIVE_ONLY, of_source]}}
            )
        return int(answer["count"])

    async def generations(self) -> Sequence[Generation]:
        return await self._admin.describe()

    async def create_generation(self) -> Generation:
        number = await self._admin.create()
        self._catalog = await self._admin.read()
        return Generation(number=number, live=False, writable=True, documents=0)

    async def refusals(self, number: int) -> Sequence[Refusal]:
        index = self._admin.index(number)
        with answered():
            await self._client.indices.refresh(index=index)
            answer = await self._client.search(
                index=index, query=REFUSED, size=MOST_REFUSALS, source_includes=[META]
            )
        return [_refusal(hit["_source"][META]) for hit in answer["hits"]["hits"]]

    async def swap(self, number: int) -> None:
        await self._admin.swap(number)
        self._catalog = await self._admin.read()

    async def drop(self, number: int) -> None:
        await self._admin.drop(number)
        self._catalog = await self._admin.read()

    async def close(self) -> None:
        await self._client.close()


_STALE = WriteOutcome(Outcome.STALE, "the generations of the index have changed")


def _hit(hit: dict[str, Any]) -> Hit:
    body: dict[str, Any] = hit["_source"]
    meta = body.pop(META)
    return Hit(
        key=DocumentKey(source=meta["source"], id=meta["id"]), score=hit["_score"], body=body
    )


def _refusal(meta: dict[str, Any]) -> Refusal:
    return Refusal(DocumentKey(source=meta["source"], id=meta["id"]), meta["refused"])
