from __future__ import annotations

import asyncio
import gzip
import random
from collections.abc import Sequence

import pytest

from crawler.fetcher.body_reader import (
    MAX_RATIO,
    RATIO_FREE_BYTES,
    YIELD_BYTES,
    BodyReader,
    BodyTooLargeError,
    BodyTooSlowError,
)
from crawler.fetcher.decoding import DecodingError

MIB = 1 << 20


class Arriving:
    """A body that arrives in these chunks, each after a while."""

    def __init__(self, chunks: Sequence[bytes], seconds_apart: float = 0.0) -> None:
        self._chunks = list(chunks)
        self._seconds_apart = seconds_apart
        self.read = 0

    async def readany(self) -> bytes:
        if self._seconds_apart:
            await asyncio.sleep(self._seconds_apart)
        if not self._chunks:
            return b""
        self.read += 1
        return self._chunks.pop(0)


def reader(
    max_bytes: int = 16 * MIB, rate: int = 1, slow_start: float = 60.0, truncate: bool = False
) -> BodyReader:
    return BodyReader(
        max_bytes=max_bytes,
        truncate=truncate,
        min_bytes_per_second=rate,
        slow_start_seconds=slow_start,
    )


def compressible(size: int) -> bytes:
    """Return text that shrinks about tenfold, as pages do."""
    generator = random.Random(1)
    words = [generator.randbytes(8).hex().encode() for _ in range(64)]
    return b" ".join(generator.choice(words) for _ in range(size // 17))


async def test_a_body_is_what_arrived() -> None:
    assert await reader().read(Arriving([b"ab", b"c"]), "") == b"abc"


async def test_nothing_is_read_beyond_the_limit() -> None:
    stream = Arriving([b"x" * 1000] * 100)
    with pytest.raises(BodyTooLargeError):
        await reader(max_bytes=2500).read(stream, "")
    assert stream.read == 3


async def test_the_beginning_is_kept_when_asked_for() -> None:
    stream = Arriving([b"ab", b"cd", b"ef"])
    assert await reader(max_bytes=3, truncate=True).read(stream, "") == b"abc"


async def test_bytes_that_decode_to_nothing_count_as_received() -> None:
    stream = Arriving([gzip.compress(b"")] * 500)
    with pytest.raises(BodyTooLargeError):
        await reader(max_bytes=5_000).read(stream, "gzip")


async def test_a_high_ratio_is_a_bomb_only_once_it_is_large() -> None:
    harmless = gzip.compress(bytes(RATIO_FREE_BYTES))
    assert len(harmless) * MAX_RATIO < RATIO_FREE_BYTES
    assert len(await reader().read(Arriving([harmless]), "gzip")) == RATIO_FREE_BYTES
    with pytest.raises(DecodingError, match="bomb"):
        await reader().read(Arriving([gzip.compress(bytes(RATIO_FREE_BYTES + 65_536))]), "gzip")


async def test_a_body_may_be_slow_at_first_but_not_for_long() -> None:
    slow = [b"x"] * 100
    with pytest.raises(BodyTooSlowError):
        await reader(rate=1000, slow_start=0.05).read(Arriving(slow, 0.01), "")


async def test_a_body_that_keeps_the_rate_may_take_long() -> None:
    steady = [b"x" * 1000] * 10
    assert len(await reader(rate=20_000, slow_start=0.1).read(Arriving(steady, 0.02), "")) == 10_000


async def test_the_loop_gets_its_turns_while_a_large_body_is_decoded() -> None:
    text = compressible(4 * MIB)
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    assert await reader().read(Arriving([gzip.compress(text)]), "gzip") == text
    counting.cancel()
    assert turns >= len(text) // YIELD_BYTES
