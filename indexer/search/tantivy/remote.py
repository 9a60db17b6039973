"""The search index as seen by a process that does not own it: every call goes to the owner."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from indexer.search.port import Generation, IndexWrite, SearchQuery, SearchResult, WriteOutcome
from indexer.search.tantivy.owner import socket_path
from indexer.search.tantivy.wire import RESULTS, Answer, Call, receive, send
from shared import errors
from shared.errors import ConnectionLostError, DependencyError


class RemoteEngine:
    """Calls the engine of the owner. Raises ConnectionLostError when there is no owner."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def current_epoch(self) -> int:
        return int(await self._call("current_epoch"))

    async def write(self, batch: Sequence[IndexWrite], epoch: int) -> Sequence[WriteOutcome]:
        outcomes: Sequence[WriteOutcome] = await self._call("write", batch, epoch)
        return outcomes

    async def write_generation(
        self, number: int, batch: Sequence[IndexWrite]
    ) -> Sequence[WriteOutcome]:
        outcomes: Sequence[WriteOutcome] = await self._call("write_generation", number, batch)
        return outcomes

    async def search(self, query: SearchQuery) -> SearchResult:
        result: SearchResult = await self._call("search", query)
        return result

    async def count(self, source: str, generation: int | None = None) -> int:
        return int(await self._call("count", source, generation))

    async def generations(self) -> Sequence[Generation]:
        generations: Sequence[Generation] = await self._call("generations")
        return generations

    async def create_generation(self) -> Generation:
        generation: Generation = await self._call("create_generation")
        return generation

    async def swap(self, number: int) -> None:
        await self._call("swap", number)

    async def drop(self, number: int) -> None:
        await self._call("drop", number)

    async def close(self) -> None:
        """Do nothing: no connection outlives its call."""

    async def _call(self, method: str, *arguments: Any) -> Any:
        call = Call(method=method, arguments=msgspec.Raw(msgspec.msgpack.encode(arguments)))
        try:
            answer = msgspec.msgpack.decode(await self._exchange(call), type=Answer)
        except (OSError, EOFError) as error:
            raise ConnectionLostError(f"the owner of {self._directory} is gone: {error}") from error
        if answer.error:
            raise _error(answer)
        return msgspec.msgpack.decode(answer.result, type=RESULTS[method])

    async def _exchange(self, call: Call) -> bytes:
        with socket_path(self._directory) as path:
            reader, writer = await asyncio.open_unix_connection(path)
        try:
            await send(writer, call)
            return await receive(reader)
        finally:
            writer.close()


def _error(answer: Answer) -> Exception:
    kind = getattr(errors, answer.error, None)
    if kind is not None:
        return kind(answer.words)  # type: ignore[no-any-return]
    if answer.error == ValueError.__name__:
        return ValueError(answer.words)
    return DependencyError(f"the owner of the index answered {answer.error}: {answer.words}")
