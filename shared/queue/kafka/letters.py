"""The topic of the dead letters: how many there are, and the records of those asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import islice

from shared.queue.kafka.record import Record

End = Callable[[], Awaitable[int]]
"""Tells the offset after the last record."""
Fetch = Callable[[int], Awaitable[tuple[Sequence[Record], int]]]
"""Reads from an offset on; returns some records, and the offset after them."""


class Letters:
    """Keeps of each letter its key and its place only: every worker counts them all.

    Each call first reads what came since the last one.
    """

    def __init__(self, end: End, fetch: Fetch) -> None:
        self._end = end
        self._fetch = fetch
        self._looking = asyncio.Lock()
        self._offsets: dict[str, int] = {}
        self._read_to = 0

    async def count(self) -> int:
        """Count them."""
        async with self._looking:
            await self._catch_up()
            return len(self._offsets)

    async def page(self, limit: int, offset: int) -> Sequence[Record]:
        """Return some of them, oldest first."""
        async with self._looking:
            await self._catch_up()
            return await self._read(islice(self._offsets.values(), offset, offset + limit))

    async def of(self, keys: Iterable[str]) -> Sequence[Record]:
        """Return the letters of these keys, oldest first."""
        async with self._looking:
            await self._catch_up()
            return await self._read(self._offsets[key] for key in self._among(keys))

    async def among(self, keys: Iterable[str]) -> Sequence[str]:
        """Return those of the keys that have a letter, each once."""
        async with self._looking:
            await self._catch_up()
            return self._among(keys)

    def _among(self, keys: Iterable[str]) -> list[str]:
        return [key for key in dict.fromkeys(keys) if key in self._offsets]

    async def _catch_up(self) -> None:
        end = await self._end()
        while self._read_to < end:
            records, self._read_to = await self._fetch(self._read_to)
            for record in records:
                self._note(record)

    def _note(self, record: Record) -> None:
        key = (record.key or b"").decode()
        self._offsets.pop(key, None)
        if record.value is not None:
            self._offsets[key] = record.offset

    async def _read(self, offsets: Iterable[int]) -> list[Record]:
        left = sorted(offsets)
        found: list[Record] = []
        while left:
            records, after = await self._fetch(left[0])
            wanted = set(left)
            found += [each for each in records if each.offset in wanted]
            left = [each for each in left if each >= after]
        return found
