"""What is measured on one broker, and by whom."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec

BATCH = 200
"""Jobs claimed together, by everybody."""
PAYLOAD = b'{"document_id":"doc-0000000001","source":"documents","note":"%s"}' % (b"x" * 80)

Side = Callable[[str, int], Coroutine[Any, Any, float]]
"""Publishes so many jobs to a broker, works them off, and returns the seconds of the second part,
to the last acknowledgement that the broker surely has."""


class Server(Protocol):
    """A broker of our own."""

    @property
    def url(self) -> str:
        """Where it listens."""
        ...

    def start(self) -> None:
        """Start it; return when it takes connections."""
        ...

    def kill(self) -> None:
        """End it."""
        ...


class Contest(msgspec.Struct, frozen=True, kw_only=True):
    """One broker, its own client in Python at its best, and the most that it can do at all."""

    server: Callable[[Path], Server]
    jobs: int
    """For a run of a few seconds."""
    settings: str
    """What decides about durability, and thereby about speed."""
    client: str
    """What the bare client does, with its promises."""
    bare: Side
    ceiling_is: str
    """How the broker's own ceiling is measured."""
    ceiling: Side
    versions: Sequence[str]
    """Distributions of the clients whose versions are printed."""


def parts(jobs: int, size: int) -> Sequence[int]:
    """Cut jobs into batches."""
    return [min(size, jobs - at) for at in range(0, jobs, size)]
