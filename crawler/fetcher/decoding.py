"""Content codings, decoded piece by piece so that a bomb is stopped before it has gone off."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Protocol

import brotli  # type: ignore[import-untyped]

if sys.version_info >= (3, 14):
    from compression.zstd import DecompressionParameter, ZstdDecompressor, ZstdError
else:
    from backports.zstd import DecompressionParameter, ZstdDecompressor, ZstdError

ACCEPT_ENCODING = "gzip, deflate, br, zstd"
PIECE_BYTES = 64 * 1024
MAX_CODINGS = 3
MAX_MEMBERS = 1024
"""Gzip members or zstd frames in one body; each costs a fresh decompressor."""
ZSTD_WINDOW_LOG = 23
"""8 MiB, what RFC 9659 allows a server to ask of us."""


class DecodingError(Exception):
    """The body is not what its Content-Encoding says."""


class Decoder(Protocol):
    """Turns encoded bytes into decoded pieces of at most about PIECE_BYTES."""

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """Decode what is there. Raises DecodingError."""
        ...

    def finish(self) -> None:
        """Check that the stream has come to its end. Raises DecodingError."""
        ...


def decoder_for(content_encoding: str) -> Decoder | None:
    """Return a decoder; None when the body is not encoded.

    Raises DecodingError for a coding we did not ask for, and for a stack of too many.
    """
    names = [name.strip().lower() for name in content_encoding.split(",")]
    names = [name for name in names if name not in ("", "identity")]
    if len(names) > MAX_CODINGS:
        raise DecodingError(f"{len(names)} content codings on top of each other")
    decoder: Decoder | None = None
    for name in reversed(names):
        if name not in _DECODERS:
            raise DecodingError(f"unknown content coding {name[:40]!r}")
        decoder = _Stacked(decoder, _DECODERS[name]()) if decoder else _DECODERS[name]()
    return decoder


def gunzip_pieces(data: bytes) -> Iterator[bytes]:
    """Decode a whole gzip file piece by piece. Raises DecodingError."""
    decoder = _Members(partial(_Zlib, zlib.MAX_WBITS | 16))
    yield from decoder.pieces(data)
    decoder.finish()


class _Stream(Protocol):
    """One compressed stream of some library, in one shape."""

    ended: bool

    def step(self, data: bytes) -> tuple[bytes, bytes, bool]:
        """Return a piece, the input that is left, and whether more output waits."""
        ...


class _Members:
    """A sequence of streams, one after the other, as gzip and zstd allow."""

    def __init__(self, new_stream: Callable[[], _Stream]) -> None:
        self._new_stream = new_stream
        self._stream = new_stream()
        self._members = 1
        self._fed = False
        self._yielded = False

    def pieces(self, data: bytes) -> Iterator[bytes]:
        more = False
        while data or more:
            if self._stream.ended:
                self._next_member()
            self._fed = True
            try:
                piece, data, more = self._stream.step(data)
            except (zlib.error, brotli.error, ZstdError) as error:
                if self._members > 1 and not self._yielded:
                    return  # bytes after the last member: browsers ignore them too
                raise DecodingError(str(error)) from error
            if piece:
                self._yielded = True
                yield piece

    def finish(self) -> None:
        if self._fed and not self._stream.ended and (self._yielded or self._members == 1):
            raise DecodingError("the compressed stream ends in the middle")

    def _next_member(self) -> None:
        self._members += 1
        if self._members > MAX_MEMBERS:
            raise DecodingError(f"more than {MAX_MEMBERS} compressed streams in one body")
        self._stream = self._new_stream()
        self._yielded = False


class _Zlib:
    def __init__(self, window_bits: int) -> None:
        self._inflate = zlib.decompressobj(window_bits)
        self.ended = False

    def step(self, data: bytes) -> tuple[bytes, bytes, bool]:
        piece = self._inflate.decompress(data, PIECE_BYTES)
        self.ended = self._inflate.eof
        if self.ended:
            return piece, self._inflate.unused_data, False
        return piece, self._inflate.unconsumed_tail, len(piece) == PIECE_BYTES


class _Deflate:
    """`deflate` is zlib by the standard, and raw deflate from some servers."""

    def __init__(self) -> None:
        self._inner: _Zlib | None = None
        self.ended = False

    def step(self, data: bytes) -> tuple[bytes, bytes, bool]:
        if self._inner is None:
            self._inner = _Zlib(zlib.MAX_WBITS if data[0] & 0x0F == 8 else -zlib.MAX_WBITS)
        piece, rest, more = self._inner.step(data)
        self.ended = self._inner.ended
        return piece, b"" if self.ended else rest, more


class _Brotli:
    def __init__(self) -> None:
        self._brotli = brotli.Decompressor()
        self.ended = False

    def step(self, data: bytes) -> tuple[bytes, bytes, bool]:
        piece = self._brotli.process(data, output_buffer_limit=PIECE_BYTES)
        self.ended = self._brotli.is_finished()
        return piece, b"", not self.ended and bool(piece)  # only an empty piece says: no more


class _Zstd:
    def __init__(self) -> None:
        options: dict[int, int] = {DecompressionParameter.window_log_max: ZSTD_WINDOW_LOG}
        self._zstd = ZstdDecompressor(options=options)
        self.ended = False

    def step(self, data: bytes) -> tuple[bytes, bytes, bool]:
        piece = self._zstd.decompress(data, max_length=PIECE_BYTES)
        self.ended = self._zstd.eof
        if self.ended:
            return piece, self._zstd.unused_data, False
        return piece, b"", not self._zstd.needs_input


class _Stacked:
    """The outer coding's pieces go through the inner one."""

    def __init__(self, outer: Decoder, inner: Decoder) -> None:
        self._outer = outer
        self._inner = inner

    def pieces(self, data: bytes) -> Iterator[bytes]:
        for piece in self._outer.pieces(data):
            yield from self._inner.pieces(piece)

    def finish(self) -> None:
        self._outer.finish()
        self._inner.finish()


_DECODERS: dict[str, Callable[[], Decoder]] = {
    "gzip": lambda: _Members(partial(_Zlib, zlib.MAX_WBITS | 16)),
    "x-gzip": lambda: _Members(partial(_Zlib, zlib.MAX_WBITS | 16)),
    "deflate": lambda: _Members(_Deflate),
    "br": lambda: _Members(_Brotli),
    "zstd": lambda: _Members(_Zstd),
}
