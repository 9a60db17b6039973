"""The relay: from the change source to the target's queue, for as long as the worker runs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from shared.errors import WorkerSuiteError
from shared.observability.logs import get_logger
from sync.metrics import SyncMetrics
from sync.sources.port import ChangeSource, Publish, QueueIdentity

_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 5.0
_ASK_QUEUE_EVERY_SECONDS = 1.0

_log = get_logger(__name__)


class Relay:
    """Publishes changes as they come, and all of the replay window to a queue that was born anew.

    What fails is tried again for ever, with growing pauses: the changes wait in their source.
    """

    def __init__(
        self,
        source: ChangeSource,
        publish: Publish,
        identify: Callable[[], Awaitable[QueueIdentity]],
        metrics: SyncMetrics,
        *,
        batch: int,
        poll_seconds: float,
    ) -> None:
        self._source = source
        self._publish = publish
        self._identify = identify
        self._metrics = metrics
        self._batch = batch
        self._poll_seconds = poll_seconds
        self._queue: QueueIdentity | None = None
        self._ask_queue_at = 0.0

    async def run(self, stop: asyncio.Event) -> None:
        """Relay until `stop` is set; a batch that has begun is finished."""
        pause = _FIRST_PAUSE_SECONDS
        while not stop.is_set():
            try:
                relayed = await self.step()
            except WorkerSuiteError as error:
                self._metrics.failures.add()
                _log.warning("relay_failed", error=str(error), again_in_seconds=pause)
                await _unless(stop, asyncio.sleep(pause))
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
                continue
            pause = _FIRST_PAUSE_SECONDS
            if not relayed:
                await _unless(stop, self._source.wait(self._poll_seconds))

    async def step(self) -> int:
        """Heal the queue if it lost jobs, then relay one batch; return how many changes it was."""
        await self._replay_if_reborn()
        relayed = await self._source.relay(self._publish, self._batch)
        self._metrics.relayed.add(relayed)
        return relayed

    async def _replay_if_reborn(self) -> None:
        now = asyncio.get_running_loop().time()
        if now < self._ask_queue_at:
            return
        queue = await self._identify()
        if queue != self._queue:
            replayed = await self._source.replay(self._publish, queue)
            self._metrics.replayed.add(replayed)
            _log.info("queue_identified", queue=queue.name, replayed=replayed)
            self._queue = queue
        self._ask_queue_at = now + _ASK_QUEUE_EVERY_SECONDS


async def _unless(stop: asyncio.Event, waiting: Coroutine[Any, Any, None]) -> None:
    """Wait, but no longer than until `stop` is set."""
    tasks = [asyncio.ensure_future(waiting), asyncio.ensure_future(stop.wait())]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
