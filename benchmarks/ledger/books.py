"""The ledger itself: append-only files that outlive the process which writes them.

A record is a job's number and the time of CLOCK_MONOTONIC, which all processes share. It reaches
the file in one write, so a SIGKILL leaves whole records; no fsync, since no power is cut here.
"""

from __future__ import annotations

import os
import struct
import time
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

Kind = Literal["published", "acknowledged", "started", "executed", "refused"]

_record = struct.Struct("<QQ")


class Book:
    """One process's record of one kind of event."""

    def __init__(self, directory: Path, kind: Kind, process: str) -> None:
        path = directory / f"{kind}.{process}"
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def note(self, number: int) -> None:
        """Write that it happened to this job."""
        os.write(self._file, _record.pack(number, time.monotonic_ns()))

    def note_all(self, numbers: Sequence[int]) -> None:
        """Write that it happened to these jobs, now."""
        now = time.monotonic_ns()
        os.write(self._file, b"".join([_record.pack(number, now) for number in numbers]))


def count(directory: Path, kind: Kind, process: str = "*") -> int:
    """Count the records of one process, or of all."""
    sizes = (path.stat().st_size for path in directory.glob(f"{kind}.{process}"))
    return sum(size // _record.size for size in sizes)


def records(directory: Path, kind: Kind) -> Iterator[tuple[str, Sequence[int], Sequence[int]]]:
    """Yield for each process its name, the numbers it wrote, and when, in their order."""
    for path in sorted(directory.glob(f"{kind}.*")):
        values = array("Q", path.read_bytes())
        yield path.name.partition(".")[2], values[::2], values[1::2]
