"""What the kernel says of a process and of those below it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def tree(pid: int) -> Iterator[int]:
    """Yield the process and all below it that still run."""
    yield pid
    for task in _entries(f"/proc/{pid}/task"):
        for child in _read(f"{task}/children").split():
            yield from tree(int(child))


def cpu_seconds(pid: int) -> float:
    """Return user and system time of a process and those below it, in steps of 10 ms."""
    total = 0
    for each in tree(pid):
        fields = _read(f"/proc/{each}/stat").rpartition(")")[2].split()
        if fields:
            total += int(fields[11]) + int(fields[12])
    return total / _TICKS


def peak_rss_mb(pid: int) -> float:
    """Return the highest resident memory of the largest process, in MB of 2^20 bytes."""
    return max(_kilobytes(f"/proc/{each}/status", "VmHWM:") for each in tree(pid)) / 1024


def pss_mb(pid: int) -> float:
    """Return the present memory of all processes, what they share counted once."""
    return sum(_kilobytes(f"/proc/{each}/smaps_rollup", "Pss:") for each in tree(pid)) / 1024


def _kilobytes(path: str, name: str) -> int:
    for line in _read(path).splitlines():
        if line.startswith(name):
            return int(line.split()[1])
    return 0


def _entries(path: str) -> list[Path]:
    try:
        return list(Path(path).iterdir())
    except (FileNotFoundError, ProcessLookupError):
        return []


def _read(path: str) -> str:
    # A process may end while it is looked at.
    try:
        return Path(path).read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
