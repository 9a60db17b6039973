"""Reads a body while it comes in, and stops as soon as a limit is passed."""

from __future__ import annotations

import asyncio
from typing import Protocol

from crawler.fetcher.decoding import Decoder, DecodingError, decoder_for

MAX_RATIO = 200
"""Decoded bytes a received byte may stand for; real pages stay far below."""
RATIO_FREE_BYTES = 1 << 20
"""Up to here a high ratio is harmless, and common: small pages of repeated markup."""
YIELD_BYTES = 1 << 20
"""How much is decoded before the loop gets its turn."""


class BodyTooLargeError(Exception):
    """The body, received or decoded, is larger than allowed."""


class BodyTooSlowError(Exception):
    """The body comes more slowly than allowed."""


class Stream(Protocol):
    """What is needed of aiohttp's StreamReader."""

    async def readany(self) -> bytes:
        """Return what has arrived; b"" at the end."""
        ...


class BodyReader:
    """Reads one body within limits of size, compression ratio and rate."""

    def __init__(
        self,
        *,
        max_bytes: int,
        truncate: bool,
        min_bytes_per_second: int,
        slow_start_seconds: float,
    ) -> None:
        self._max_bytes = max_bytes
        self._truncate = truncate
        self._min_bytes_per_second = min_bytes_per_second
        self._slow_start_seconds = slow_start_seconds
        self._received = 0
        self._unyielded = 0
        self._decoded = bytearray()

    async def read(self, stream: Stream, content_encoding: str) -> bytes:
        """Return the decoded body; only its beginning when it is too large and may be cut.

        Raises BodyTooLargeError, BodyTooSlowError, DecodingError.
        """
        try:
            await self._read(stream, decoder_for(content_encoding))
        except BodyTooLargeError:
            if not self._truncate:
                raise
        return bytes(self._decoded[: self._max_bytes])

    async def _read(self, stream: Stream, decoder: Decoder | None) -> None:
        loop = asyncio.get_running_loop()
        begun = loop.time() + self._slow_start_seconds
        try:
            async with asyncio.timeout_at(begun) as rate_limit:
                while chunk := await stream.readany():
                    self._received += len(chunk)
                    await self._take(chunk, decoder)
                    rate_limit.reschedule(begun + self._received / self._min_bytes_per_second)
        except TimeoutError:
            raise BodyTooSlowError(f"{self._received} bytes came too slowly") from None
        if decoder is not None:
            decoder.finish()

    async def _take(self, chunk: bytes, decoder: Decoder | None) -> None:
        for piece in (chunk,) if decoder is None else decoder.pieces(chunk):
            self._decoded += piece
            self._check()
            self._unyielded += len(piece)
            if self._unyielded >= YIELD_BYTES:
                self._unyielded = 0
                await asyncio.sleep(0)
        self._check()

    def _check(self) -> None:
        size = len(self._decoded)
        if max(size, self._received) > self._max_bytes:
            raise BodyTooLargeError(f"more than {self._max_bytes} bytes")
        if size > RATIO_FREE_BYTES and size > MAX_RATIO * self._received:
            raise DecodingError(f"one byte became more than {MAX_RATIO}: a decompression bomb")
