"""The pool on Postgres, end to end."""

from __future__ import annotations

import asyncio

from shared.jobs import new_job
from shared.queue.factory import create_queue
from shared.queue.port import QueueSettings
from tests.integration.test_pool_redis import JOBS, Ledger, Number, started
from tests.services.servers import Postgres


async def test_a_killed_server_loses_no_job(postgres_server: Postgres) -> None:
    queue = create_queue(QueueSettings(name="numbers", lease_seconds=5), postgres_server.url)
    await queue.publish([new_job("number", Number(n)) for n in range(JOBS)])
    ledger, stop = Ledger(), asyncio.Event()
    running = await started(queue, ledger, stop)
    await ledger.reaches(JOBS // 4)
    postgres_server.kill()
    await asyncio.to_thread(postgres_server.start)
    await ledger.reaches(JOBS)
    stop.set()
    async with asyncio.timeout(20):
        await running
    depth = await queue.depth()
    await queue.close()
    assert depth.dead == 0
    assert set(ledger.done) == set(range(JOBS))
