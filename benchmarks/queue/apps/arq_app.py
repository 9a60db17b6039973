"""arq. Its keys of results are off, as its documentation advises for speed; it polls."""

from __future__ import annotations

import asyncio
from typing import Any

from arq import create_pool
from arq.connections import RedisSettings
from arq.worker import func

from benchmarks.queue.apps.ledger import QUEUE, SLOTS, URL, Ledger, payload, to_publish

ledger = Ledger()


async def noop(_: dict[str, Any], job: dict[str, int]) -> None:
    """Do one job."""
    await ledger.run(job["n"], job["sleep_ms"])


class WorkerSettings:
    """Read by its command line."""

    functions = (func(noop, keep_result=0),)
    redis_settings = RedisSettings.from_dsn(URL)
    queue_name = QUEUE
    max_jobs = SLOTS
    job_timeout = 5


async def main() -> None:
    """Publish."""
    redis = await create_pool(WorkerSettings.redis_settings, default_queue_name=QUEUE)
    for numbers in to_publish(50):
        await asyncio.gather(*(redis.enqueue_job("noop", payload(n)) for n in numbers))
    await redis.aclose()


if __name__ == "__main__":
    asyncio.run(main())
