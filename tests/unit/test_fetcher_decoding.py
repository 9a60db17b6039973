from __future__ import annotations

import gzip
import sys
import zlib

import brotli
import pytest

from crawler.fetcher.decoding import PIECE_BYTES, DecodingError, decoder_for, gunzip_pieces

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

TEXT = bytes(range(256)) * 2_000
ENCODED = {
    "gzip": gzip.compress(TEXT),
    "x-gzip": gzip.compress(TEXT),
    "GZip, identity": gzip.compress(TEXT),
    "deflate": zlib.compress(TEXT),
    "br": brotli.compress(TEXT),
    "zstd": zstd.compress(TEXT),
    "br, gzip": gzip.compress(brotli.compress(TEXT)),
}


def decode(coding: str, data: bytes, chunk: int = 1 << 20) -> bytes:
    decoder = decoder_for(coding)
    assert decoder is not None
    chunks = (data[at : at + chunk] for at in range(0, len(data), chunk))
    decoded = b"".join(piece for each in chunks for piece in decoder.pieces(each))
    decoder.finish()
    return decoded


@pytest.mark.parametrize("chunk", [1, 7, 4096, 1 << 20])
@pytest.mark.parametrize("coding", ENCODED)
def test_decodes_however_the_bytes_arrive(coding: str, chunk: int) -> None:
    assert decode(coding, ENCODED[coding], chunk) == TEXT


def test_decodes_deflate_without_its_zlib_wrapping() -> None:
    assert decode("deflate", zlib.compress(TEXT)[2:-4]) == TEXT


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_decodes_streams_one_after_the_other(coding: str) -> None:
    assert decode(coding, ENCODED[coding] * 2, 1000) == TEXT * 2


@pytest.mark.parametrize("content_encoding", ["", "identity", " , "])
def test_an_answer_without_a_coding_needs_no_decoder(content_encoding: str) -> None:
    assert decoder_for(content_encoding) is None


@pytest.mark.parametrize("coding", ["compress", "x-secret", "gzip, x", "gzip, gzip, gzip, gzip"])
def test_other_codings_are_refused(coding: str) -> None:
    with pytest.raises(DecodingError):
        decoder_for(coding)


@pytest.mark.parametrize("coding", ENCODED)
def test_a_stream_that_ends_in_the_middle_is_an_error(coding: str) -> None:
    with pytest.raises(DecodingError, match="ends in the middle"):
        decode(coding, ENCODED[coding][:-9])


@pytest.mark.parametrize("coding", ENCODED)
def test_other_bytes_are_an_error(coding: str) -> None:
    with pytest.raises(DecodingError):
        decode(coding, b"\xff<p>This is only text</p>")


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_an_empty_body_is_empty(coding: str) -> None:
    assert decode(coding, b"") == b""


def test_bytes_after_the_last_stream_are_ignored() -> None:
    assert decode("gzip", ENCODED["gzip"] + b"rubbish") == TEXT
    assert decode("gzip", ENCODED["gzip"] + b"\0" * 512) == TEXT


@pytest.mark.parametrize("coding", ENCODED)
def test_pieces_stay_small_whatever_they_are_made_from(coding: str) -> None:
    zeros = bytes(4 << 20)
    made = {
        "deflate": zlib.compress(zeros),
        "br": brotli.compress(zeros),
        "zstd": zstd.compress(zeros),
    }
    data = made.get(coding) or gzip.compress(zeros)
    decoder = decoder_for(coding if coding != "br, gzip" else "gzip")
    assert decoder is not None
    sizes = [len(piece) for piece in decoder.pieces(data)]
    assert sum(sizes) == len(zeros)
    assert max(sizes) <= 2 * PIECE_BYTES


def test_gunzips_a_file() -> None:
    assert b"".join(gunzip_pieces(ENCODED["gzip"])) == TEXT
    with pytest.raises(DecodingError):
        list(gunzip_pieces(ENCODED["gzip"][:100]))
