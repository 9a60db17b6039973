"""The search index on Tantivy, for the one process that owns it."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import msgspec

from indexer.search.port import (
    Generation,
    IndexWrite,
    Outcome,
    Refusal,
    SearchQuery,
    SearchResult,
    WriteOutcome,
)
from indexer.search.tantivy.catalog import Catalog, load, save
from indexer.search.tantivy.generation import TantivyGeneration

R = TypeVar("R")
_STALE = WriteOutcome(Outcome.STALE, "the generations of the index have changed")


class TantivyEngine:
    """Generations in a directory; without one, in memory: the fake that tests use.

    All changes run in one thread, one after another, and outlive a caller that is cancelled.
    """

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory
        self._catalog = Catalog()
        self._generations: dict[int, TantivyGeneration] = {}
        self._changes = ThreadPoolExecutor(1, thread_name_prefix="tantivy")

    async def open(self) -> None:
        await self._change(self._open)

    def _open(self) -> None:
        if self._generations:
            return
        if self._directory is not None:
            self._directory.mkdir(parents=True, exist_ok=True)
            self._catalog = load(self._directory) or self._catalog
        for number in self._catalog.generations:
            self._generations[number] = self._open_generation(number)
        self._keep(self._catalog)

    @property
    def epoch(self) -> int:
        return self._catalog.epoch

    async def current_epoch(self) -> int:
        """Return the epoch, for a caller in another process."""
        return self._catalog.epoch

    async def write(self, batch: Sequence[IndexWrite], epoch: int) -> Sequence[WriteOutcome]:
        return await self._change(lambda: self._write(batch, epoch))

    def _write(self, batch: Sequence[IndexWrite], epoch: int) -> Sequence[WriteOutcome]:
        if epoch != self._catalog.epoch:
            return [_STALE] * len(batch)
        for number, generation in self._generations.items():
            if number != self._catalog.live:
                generation.write(batch)
        return self._generations[self._catalog.live].write(batch)

    async def write_generation(
        self, number: int, batch: Sequence[IndexWrite]
    ) -> Sequence[WriteOutcome]:
        return await self._change(lambda: self._write_generation(number, batch))

    def _write_generation(self, number: int, batch: Sequence[IndexWrite]) -> Sequence[WriteOutcome]:
        generation = self._generations.get(number)
        return [_STALE] * len(batch) if generation is None else generation.write(batch)

    async def refresh(self) -> None:
        """Do nothing: a write returns when searches see it."""

    async def search(self, query: SearchQuery) -> SearchResult:
        live = self._generations[self._catalog.live]
        return await asyncio.to_thread(live.search, query)

    async def count(self, source: str, generation: int | None = None) -> int:
        number = self._catalog.live if generation is None else generation
        return await asyncio.to_thread(self._generations[number].count, source)

    async def generations(self) -> Sequence[Generation]:
        return [self._describe(number) for number in sorted(self._generations)]

    def _describe(self, number: int) -> Generation:
        return Generation(
            number=number,
            live=number == self._catalog.live,
            writable=True,
            documents=self._generations[number].count(),
        )

    async def create_generation(self) -> Generation:
        return await self._change(self._create)

    def _create(self) -> Generation:
        number = max(self._generations) + 1
        if self._directory is not None:
            # What a kill left behind of an earlier try is in no catalog.
            shutil.rmtree(self._path(number), ignore_errors=True)
        self._generations[number] = self._open_generation(number)
        self._keep(
            Catalog(
                epoch=self._catalog.epoch + 1,
                live=self._catalog.live,
                generations=tuple(self._generations),
            )
        )
        return self._describe(number)

    async def refusals(self, number: int) -> Sequence[Refusal]:
        """Return nothing: generations are alike, so what one refuses the live one refuses too."""
        return ()

    async def swap(self, number: int) -> None:
        await self._change(lambda: self._swap(number))

    def _swap(self, number: int) -> None:
        if number not in self._generations:
            raise ValueError(f"generation {number} does not exist or is not written to")
        self._keep(msgspec.structs.replace(self._catalog, live=number))

    async def drop(self, number: int) -> None:
        await self._change(lambda: self._drop(number))

    def _drop(self, number: int) -> None:
        if number == self._catalog.live or number not in self._generations:
            raise ValueError(f"generation {number} is live, or does not exist")
        dropped = self._generations.pop(number)
        self._keep(msgspec.structs.replace(self._catalog, generations=tuple(self._generations)))
        dropped.close()
        if self._directory is not None:
            shutil.rmtree(self._path(number))

    async def close(self) -> None:
        await self._change(self._close)
        self._changes.shutdown()

    def _close(self) -> None:
        for generation in self._generations.values():
            generation.close()
        self._generations.clear()

    def _keep(self, catalog: Catalog) -> None:
        if self._directory is not None:
            save(self._directory, catalog)
        self._catalog = catalog

    def _open_generation(self, number: int) -> TantivyGeneration:
        if self._directory is None:
            return TantivyGeneration(None)
        self._path(number).mkdir(exist_ok=True)
        return TantivyGeneration(self._path(number))

    def _path(self, number: int) -> Path:
        assert self._directory is not None
        return self._directory / f"g{number:06d}"

    async def _change(self, call: Callable[[], R]) -> R:
        return await asyncio.get_running_loop().run_in_executor(self._changes, call)
