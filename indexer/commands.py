"""What the commands beside `run` do, apart from flags and printing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from indexer.bootstrap import Parts, opened, opened_index, queue_of
from indexer.generations import roll_back
from indexer.reindex import Reindex, ReindexReport
from indexer.search.port import Generation, SearchQuery, SearchResult
from indexer.settings import IndexerSettings
from indexer.verify import VerifyReport
from indexer.verify import verify as compare
from shared.errors import ConfigError
from shared.queue.port import QueueDepth


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """What there is and what waits."""

    backend: str
    queue: QueueDepth
    generations: Sequence[Generation]


async def reindex(
    settings: IndexerSettings,
    *,
    keep_old: bool,
    lag_seconds: float,
    on_start: Callable[[int], None],
    on_progress: Callable[[int], None],
) -> ReindexReport:
    """Rebuild the index; `on_start` is told how many documents there are."""
    async with opened(settings) as parts:
        on_start(await _documents(parts))
        run = Reindex(parts.store, parts.index, on_progress)
        return await run.run(keep_old=keep_old, lag_seconds=lag_seconds)


async def _documents(parts: Parts) -> int:
    return sum([await parts.store.count(source) for source in await parts.store.sources()])


async def rollback(settings: IndexerSettings) -> int:
    """Search the generation before the live one again; return its number."""
    async with opened_index(settings) as index:
        return await roll_back(index)


async def drop(settings: IndexerSettings, number: int) -> None:
    """Drop a generation. Raises ConfigError for the live one and for one that is not there."""
    async with opened_index(settings) as index:
        try:
            await index.drop(number)
        except ValueError as error:
            raise ConfigError(f"cannot drop: {error}") from error


async def verify(settings: IndexerSettings, *, lag_seconds: float) -> VerifyReport:
    """Compare counts of Postgres and of the live generation."""
    async with opened(settings) as parts:
        return await compare(parts.store, parts.index, lag_seconds=lag_seconds)


async def search(settings: IndexerSettings, query: SearchQuery) -> SearchResult:
    """Search the live generation."""
    async with opened_index(settings) as index:
        return await index.search(query)


async def status(settings: IndexerSettings) -> Status:
    """Return the generations and how much waits in the queue."""
    queue = queue_of(settings)
    try:
        depth = await queue.depth()
    finally:
        await queue.close()
    async with opened_index(settings) as index:
        generations = await index.generations()
    return Status(backend=settings.backend(), queue=depth, generations=generations)
