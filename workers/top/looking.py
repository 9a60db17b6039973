"""One look at every worker and every queue."""

from __future__ import annotations

import asyncio
import time
import urllib.error
import urllib.request
from collections.abc import Sequence

import msgspec

from shared.errors import WorkerSuiteError
from shared.queue.port import QueueDepth, QueueSettings
from workers.top.figures import Samples, WorkerFigures, figures, samples_of

_ANSWER_SECONDS = 2.0


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen between two moments."""

    seconds: float
    workers: Sequence[WorkerFigures]
    queues: dict[str, QueueDepth]
    silent: dict[str, str]
    """Workers and queues that did not answer, and why."""


class Looker:
    """Looks again and again; the first look shows no rates."""

    def __init__(self, workers: Sequence[str], queues: Sequence[str]) -> None:
        self._workers = workers
        self._queues = queues
        self._before: dict[str, Samples] = {}
        self._looked_at = time.monotonic()

    async def look(self) -> Look:
        """Ask everybody at once."""
        silent: dict[str, str] = {}
        texts = asyncio.gather(*(_metrics(url, silent) for url in self._workers))
        depths = asyncio.gather(*(_depth(name, silent) for name in self._queues))
        after = dict(zip(self._workers, await texts, strict=True))
        queues = dict(zip(self._queues, await depths, strict=True))
        now = time.monotonic()
        seconds, self._looked_at = now - self._looked_at, now
        seen = [
            figures(url, self._before.get(url, samples), samples, max(seconds, 1e-9))
            for url, samples in after.items()
            if samples is not None
        ]
        self._before = {url: samples for url, samples in after.items() if samples is not None}
        return Look(
            seconds=seconds,
            workers=seen,
            queues={name: depth for name, depth in queues.items() if depth is not None},
            silent=silent,
        )


async def _metrics(url: str, silent: dict[str, str]) -> Samples | None:
    try:
        return samples_of(await asyncio.to_thread(_fetch, f"{url}/metrics"))
    except (OSError, ValueError) as error:
        silent[url] = str(error)
        return None


def _fetch(url: str) -> str:
    with urllib.request.urlopen(url, timeout=_ANSWER_SECONDS) as answer:  # noqa: S310 - http only
        return str(answer.read().decode())


async def _depth(name: str, silent: dict[str, str]) -> QueueDepth | None:
    from workers.bootstrap import open_queue_admin

    try:
        async with open_queue_admin(QueueSettings(name=name)) as admin:
            return await admin.depth()
    except WorkerSuiteError as error:
        silent[name] = str(error)
        return None
