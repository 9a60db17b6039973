"""worker-digest-files: reads uploaded files, plain or gzipped, and writes what it found.

    LPUSH files:jobs '{"type": "digest", "payload": {"path": "2026/orders.csv.gz"}}'

Paths are below UPLOADS, and nothing outside of it can be named. For each file a `.digest.json`
appears, whole or not at all. The work is a plain function: the pool runs it in a thread.
"""

import gzip
import hashlib
import os
import sys
import zlib
from pathlib import Path

import msgspec

from shared.errors import PermanentError
from shared.pool.processor import Execution
from shared.pool.retry_policy import RetryPolicy
from shared.queue_worker import run_queue_worker
from shared.verdicts import Done

CHUNK_BYTES = 1 << 20
MOST_BYTES = 10 << 30
"""Of the text inside: a small gzip file can hold more than any disk."""


class Upload(msgspec.Struct):
    """Which file."""

    path: str


class Digest(msgspec.Struct):
    """What was found."""

    bytes: int
    lines: int
    sha256: str


class DigestFile:
    """Digests one file."""

    job_type = "digest"
    payload_type = Upload
    timeout_seconds = 600.0
    retry = RetryPolicy(max_attempts=3)

    def process(self, execution: Execution[Upload]) -> Done:
        """Read the file in bounded memory, and put the digest in its place in one step."""
        path = _below(Path(os.environ.get("UPLOADS", "uploads")), execution.payload.path)
        try:
            digest = _digest(path)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise PermanentError(f"{path.name} is no whole gzip file: {error}") from error
        except FileNotFoundError as error:
            raise PermanentError(f"there is no file {execution.payload.path}") from error
        target = path.with_name(path.name + ".digest.json")
        unfinished = target.with_suffix(f".{execution.delivery.attempt}.tmp")
        unfinished.write_bytes(msgspec.json.encode(digest))
        unfinished.replace(target)
        return Done(msgspec.to_builtins(digest))


def _below(directory: Path, path: str) -> Path:
    full = (directory / path).resolve()
    if not full.is_relative_to(directory.resolve()):
        raise PermanentError(f"{path} leads out of the uploads")
    return full


def _digest(path: Path) -> Digest:
    hashed, size, lines = hashlib.sha256(), 0, 0
    with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            hashed.update(chunk)
            size += len(chunk)
            lines += chunk.count(b"\n")
            if size > MOST_BYTES:
                raise PermanentError(f"{path.name} holds more than {MOST_BYTES} bytes")
    return Digest(bytes=size, lines=lines, sha256=hashed.hexdigest())


if __name__ == "__main__":
    sys.exit(run_queue_worker("digest-files", "files:jobs", [DigestFile()]))
