"""How other processes call the owner: one call a connection, over a socket in the directory."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from indexer.search.port import Generation, IndexWrite, SearchQuery, SearchResult, WriteOutcome

SOCKET = "owner.sock"
_LENGTH_BYTES = 4

ARGUMENTS: dict[str, Any] = {
    "current_epoch": tuple[()],
    "write": tuple[list[IndexWrite], int],
    "write_generation": tuple[int, list[IndexWrite]],
    "search": tuple[SearchQuery],
    "count": tuple[str, int | None],
    "generations": tuple[()],
    "create_generation": tuple[()],
    "swap": tuple[int],
    "drop": tuple[int],
}
"""The calls there are, with the types of their arguments."""

RESULTS: dict[str, Any] = {
    "current_epoch": int,
    "write": list[WriteOutcome],
    "write_generation": list[WriteOutcome],
    "search": SearchResult,
    "count": int,
    "generations": list[Generation],
    "create_generation": Generation,
    "swap": None,
    "drop": None,
}


class Call(msgspec.Struct, frozen=True):
    """One call of the port."""

    method: str
    arguments: msgspec.Raw


class Answer(msgspec.Struct, frozen=True):
    """Its result, or the name and words of the error that it raised."""

    result: msgspec.Raw
    error: str = ""
    words: str = ""


async def send(writer: asyncio.StreamWriter, message: Call | Answer) -> None:
    """Write one length-prefixed message."""
    data = msgspec.msgpack.encode(message)
    writer.write(len(data).to_bytes(_LENGTH_BYTES, "big") + data)
    await writer.drain()


async def receive(reader: asyncio.StreamReader) -> bytes:
    """Read one message. Raises IncompleteReadError (an EOFError) when the peer has gone."""
    length = int.from_bytes(await reader.readexactly(_LENGTH_BYTES), "big")
    return await reader.readexactly(length)
