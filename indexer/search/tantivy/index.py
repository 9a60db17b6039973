"""The search index on Tantivy, for any number of processes on one machine.

Tantivy allows one writer. The first process to open the directory owns it; all others, the
commands `reindex`, `verify` and `search` included, send their calls to the owner. When the owner
goes, the next caller takes its place.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeVar

from indexer.search.port import (
    Generation,
    IndexWrite,
    Outcome,
    Refusal,
    SearchQuery,
    SearchResult,
    WriteOutcome,
)
from indexer.search.tantivy.engine import TantivyEngine
from indexer.search.tantivy.owner import OwnerServer, take_ownership
from indexer.search.tantivy.remote import RemoteEngine
from shared.errors import ConnectionLostError, DependencyError

R = TypeVar("R")
_OWNER_START_SECONDS = 10.0
_OWNER_POLL_SECONDS = 0.05


class TantivyIndex:
    """Owns the index, or talks to its owner."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._engine: TantivyEngine | RemoteEngine | None = None
        self._server: OwnerServer | None = None
        self._lock: int | None = None
        self._entering = asyncio.Lock()
        self._epoch = 0

    async def open(self) -> None:
        deadline = time.monotonic() + _OWNER_START_SECONDS
        while True:
            try:
                await self._entered()
                return
            except ConnectionLostError as error:
                if time.monotonic() > deadline:
                    raise DependencyError(f"TANTIVY_DIR {self._directory}: {error}") from error
                await asyncio.sleep(_OWNER_POLL_SECONDS)  # the owner is still opening the index

    async def _entered(self) -> TantivyEngine | RemoteEngine:
        async with self._entering:
            if self._engine is None:
                engine = await self._enter()
                self._epoch = await engine.current_epoch()
                self._engine = engine
            return self._engine

    async def _enter(self) -> TantivyEngine | RemoteEngine:
        self._lock = take_ownership(self._directory)
        if self._lock is None:
            return RemoteEngine(self._directory)
        engine = TantivyEngine(self._directory)
        try:
            await engine.open()
            server = OwnerServer(engine, self._directory)
            await server.start()
        except BaseException:
            await engine.close()
            self._give_up_ownership()
            raise
        self._server = server
        return engine

    def _give_up_ownership(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
        self._lock = None

    async def _call(self, call: Callable[[TantivyEngine | RemoteEngine], Awaitable[R]]) -> R:
        engine = await self._entered()
        try:
            return await call(engine)
        except ConnectionLostError:
            if self._engine is engine:
                self._engine = None  # the next call looks for the new owner, or becomes it
            raise

    @property
    def epoch(self) -> int:
        return self._epoch

    async def write(self, batch: Sequence[IndexWrite], epoch: int) -> Sequence[WriteOutcome]:
        outcomes = await self._call(lambda engine: engine.write(batch, epoch))
        if any(outcome.outcome is Outcome.STALE for outcome in outcomes):
            await self._reload()
        return outcomes

    async def _reload(self) -> None:
        self._epoch = await self._call(lambda engine: engine.current_epoch())

    async def write_generation(
        self, number: int, batch: Sequence[IndexWrite]
    ) -> Sequence[WriteOutcome]:
        return await self._call(lambda engine: engine.write_generation(number, batch))

    async def refresh(self) -> None:
        """Do nothing: a write returns when searches see it."""

    async def search(self, query: SearchQuery) -> SearchResult:
        return await self._call(lambda engine: engine.search(query))

    async def count(self, source: str, generation: int | None = None) -> int:
        return await self._call(lambda engine: engine.count(source, generation))

    async def generations(self) -> Sequence[Generation]:
        return await self._call(lambda engine: engine.generations())

    async def create_generation(self) -> Generation:
        created = await self._call(lambda engine: engine.create_generation())
        await self._reload()
        return created

    async def refusals(self, number: int) -> Sequence[Refusal]:
        """Return nothing: generations are alike, so what one refuses the live one refuses too."""
        return ()

    async def swap(self, number: int) -> None:
        await self._call(lambda engine: engine.swap(number))

    async def drop(self, number: int) -> None:
        await self._call(lambda engine: engine.drop(number))

    async def close(self) -> None:
        if self._server is not None:
            await self._server.stop()
        if self._engine is not None:
            await self._engine.close()
        self._give_up_ownership()
        self._engine = self._server = None
