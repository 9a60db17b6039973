"""A worker to be killed: `python -m tests.integration.queue_kill_worker URL QUEUE LEDGER`.

Writes a line `ran KEY` to the ledger as it works on a job, and `done KEY` for every settlement
that the queue accepted. The ledger is a file, so it outlives both the worker and the server.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Sequence

from shared.errors import ConnectionLostError, DependencyError
from shared.queue.factory import create_queue
from shared.queue.port import Queue, QueueSettings
from shared.verdicts import Done, Settlement
from shared.work_source import Exchange

BATCH = 20
WORK_SECONDS = 0.0005
SETTINGS = {"lease_seconds": 3.0, "max_crashes": 1_000_000}


async def main(url: str, name: str, ledger_path: str) -> None:
    """Work until killed."""
    ledger = os.open(ledger_path, os.O_WRONLY | os.O_APPEND)
    queue = create_queue(QueueSettings(name=name, **SETTINGS), url)
    await _open(queue)
    held: dict[str, float] = {}
    queue.lease_keeper().start(held, lambda _: None)
    settled: list[Settlement] = []
    while True:
        answer = await _exchange(queue, settled)
        refused = set(answer.refused)
        done = [each.delivery for each in settled if each.delivery.token not in refused]
        _write(ledger, [f"done {each.job.key}" for each in done])
        held.clear()
        held.update((each.token, time.monotonic() + 60) for each in answer.deliveries)
        for delivery in answer.deliveries:
            _write(ledger, [f"ran {delivery.job.key}"])
            await asyncio.sleep(WORK_SECONDS)
        settled = [Settlement(each, Done()) for each in answer.deliveries]
        if not settled:
            await queue.wait(0.1)


async def _open(queue: Queue) -> None:
    while True:
        try:
            return await queue.open("kill-test", ["job"])
        except DependencyError:
            await asyncio.sleep(0.05)


async def _exchange(queue: Queue, settled: Sequence[Settlement]) -> Exchange:
    while True:
        try:
            return await queue.exchange(settled, BATCH)
        except ConnectionLostError:
            await asyncio.sleep(0.05)


def _write(ledger: int, lines: Sequence[str]) -> None:
    if lines:
        os.write(ledger, "".join(f"{line}\n" for line in lines).encode())


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:4]))
