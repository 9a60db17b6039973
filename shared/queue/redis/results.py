"""Progress and results of jobs in Redis."""

from __future__ import annotations

import time
from typing import Any

from shared.jobs import Delivery
from shared.queue.outcome import decode_outcome, encode_value
from shared.queue.port import JobOutcome, QueueSettings
from shared.queue.redis.keys import keys_of
from shared.redis.client import address_of, connect
from shared.redis.faults import translated
from shared.redis.script import Argument, Script

BLOCK_SECONDS = 5.0
"""The longest blocking command: so much shorter than the client's patience."""

_report = Script("shared.queue.redis", "report.lua")


class RedisJobResults:
    """Reads and writes what is kept of jobs."""

    def __init__(self, settings: QueueSettings, url: str) -> None:
        self._keys = keys_of(settings.name)
        self._client = connect(url)
        self._address = address_of(self._client)

    async def report(self, delivery: Delivery, progress: Any) -> None:
        """See JobResults.report. Does nothing either when the lease was lost.

        Raises TypeError or ValueError for progress that cannot be written as JSON.
        """
        job = delivery.job
        if job.keep_result_seconds <= 0:
            return
        names = [self._keys.leases, self._keys.result(job.key)]
        keep_ms = max(1, round(job.keep_result_seconds * 1000))
        with translated(self._address):
            arguments: list[Argument] = [delivery.token, keep_ms, encode_value(progress)]
            await _report.run(self._client, names, arguments)

    async def outcome(self, key: str) -> JobOutcome | None:
        """See JobResults.outcome."""
        with translated(self._address):
            fields: Any = await self._client.hgetall(self._keys.result(key))
        return decode_outcome({name.decode(): value for name, value in fields.items()})

    async def wait(self, key: str, timeout: float) -> JobOutcome | None:
        """See JobResults.wait."""
        until = time.monotonic() + timeout
        while (left := until - time.monotonic()) > 0:
            block_ms = max(1, round(min(left, BLOCK_SECONDS) * 1000))
            with translated(self._address):
                streams: Any = {self._keys.concluded(key): "0"}
                if await self._client.xread(streams, count=1, block=block_ms):
                    break
        return await self.outcome(key)

    async def close(self) -> None:
        """See JobResults.close."""
        await self._client.aclose()
