"""A publisher: `python -m benchmarks.ledger.publisher URL QUEUE DIRECTORY FIRST STEP`.

Publishes the jobs FIRST, FIRST + STEP, ... until SIGTERM. A batch counts as published before it
is sent, and as acknowledged when the publish has returned; one whose connection broke is sent
again, as every producer does.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Sequence
from itertools import count, islice
from pathlib import Path

from benchmarks.ledger.books import Book
from benchmarks.ledger.settings import JOB_TYPE, queue_settings
from shared.errors import ConnectionLostError
from shared.jobs import Job
from shared.queue.factory import create_queue
from shared.queue.port import Queue

BATCH = 500
MOST_WAITING = 20_000
"""Publishers pause while so many jobs wait, so that the backlog stays small."""
LOOK_EVERY = 10


async def main(url: str, queue_name: str, directory: str, first: str, step: str) -> None:
    """Publish until SIGTERM; the batch that has begun is brought to its end."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    queue = create_queue(queue_settings(queue_name), url)
    published = Book(Path(directory), "published", f"publisher-{first}")
    acknowledged = Book(Path(directory), "acknowledged", f"publisher-{first}")
    numbers = count(int(first), int(step))
    for turn in count():
        if stop.is_set():
            break
        if turn % LOOK_EVERY == 0:
            await _until_few_wait(queue, stop)
        batch = list(islice(numbers, BATCH))
        await _publish(queue, batch, published)
        acknowledged.note_all(batch)
    await queue.close()


async def _publish(queue: Queue, numbers: Sequence[int], published: Book) -> None:
    jobs = [Job(type=JOB_TYPE, key=f"job-{n}", payload=b'{"n":%d}' % n) for n in numbers]
    while True:
        published.note_all(numbers)
        try:
            await queue.publish(jobs)
            return
        except ConnectionLostError:
            await asyncio.sleep(0.1)


async def _until_few_wait(queue: Queue, stop: asyncio.Event) -> None:
    while not stop.is_set() and await _waiting(queue) >= MOST_WAITING:
        await asyncio.sleep(0.02)


async def _waiting(queue: Queue) -> int:
    try:
        return (await queue.depth()).ready
    except ConnectionLostError:
        return MOST_WAITING  # the server is restarting: no time to publish either


if __name__ == "__main__":
    import uvloop

    uvloop.run(main(*sys.argv[1:6]))
