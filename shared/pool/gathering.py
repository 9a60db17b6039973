"""Jobs of one type that wait for a slot, and for their batch to fill."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Iterator
from typing import Any

from shared.pool.processor import Execution
from shared.pool.run import Work


class Gathering:
    """Gives out full batches at once, and others when the linger time is over."""

    def __init__(self, size: int, linger_seconds: float, due: Callable[[], None]) -> None:
        """A size of 0 gives out jobs one by one, outside of any list.

        `due` is called when a batch that is not full has lingered long enough.
        """
        self.size = max(size, 1)
        self._one_by_one = size == 0
        self._linger = linger_seconds
        self._due = due
        self._waiting: deque[Execution[Any]] = deque()
        self._over = False
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, execution: Execution[Any]) -> None:
        """Let a job wait."""
        self._waiting.append(execution)

    def ready(self) -> int:
        """Return how many slots what waits could fill now."""
        if self._one_by_one:
            return len(self._waiting)
        batches, rest = divmod(len(self._waiting), self.size)
        if rest and (self._over or not self._linger):
            return batches + 1
        if rest and not batches:
            self._begin_linger()
        return batches

    def take(self) -> Work | None:
        """Take the next job or batch; None when there is none yet."""
        count = len(self._waiting)
        if not count:
            return None
        if self._one_by_one:
            return self._waiting.popleft()
        if count < self.size and self._linger and not self._over:
            self._begin_linger()
            return None
        self._stop_lingering()
        return [self._waiting.popleft() for _ in range(min(self.size, count))]

    def keep(self, tokens: Collection[str]) -> None:
        """Drop all jobs but those of these tokens."""
        kept = [each for each in self._waiting if each.delivery.token in tokens]
        self._waiting.clear()
        self._waiting.extend(kept)

    def drain(self) -> Iterator[Execution[Any]]:
        """Take everything, full or not."""
        self._stop_lingering()
        while self._waiting:
            yield self._waiting.popleft()

    def _begin_linger(self) -> None:
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._linger, self._end_linger)

    def _end_linger(self) -> None:
        self._timer = None
        self._over = True
        self._due()

    def _stop_lingering(self) -> None:
        self._over = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
