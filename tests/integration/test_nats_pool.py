"""The pool on JetStream, and workers that are killed: nothing is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from nats.aio.client import Client

from shared.jobs import new_job
from shared.queue.factory import create_queue
from shared.queue.nats_jetstream.names import CONSUMERS, names_of
from shared.queue.port import QueueSettings
from tests.integration import test_queue_kills as kills
from tests.integration.queue_kill_worker import BATCH
from tests.integration.test_pool_redis import JOBS, Ledger, Number, started
from tests.services.nats import Nats


@pytest.fixture
def fleet(nats_server: Nats, tmp_path: Path) -> Iterator[kills.Fleet]:
    """Three workers on a private server that syncs every write."""
    fleet = kills.Fleet(nats_server.url, tmp_path / "ledger")
    yield fleet
    fleet.stop()


async def test_workers_killed_again_and_again_lose_nothing(
    fleet: kills.Fleet, nats_server: Nats
) -> None:
    keys = [f"job-{n}" for n in range(1000)]
    await kills.publish(nats_server.url, keys)
    killed = 5
    for kill in range(killed):
        await fleet.until_ran((kill + 1) * len(keys) // (killed + 2))
        fleet.replace_one()
    await kills.until_empty(nats_server.url)
    kills.check_nothing_lost(fleet, keys, most_doubled=killed * BATCH)


async def test_a_killed_server_loses_no_job(nats_server: Nats) -> None:
    queue = create_queue(QueueSettings(name="numbers", lease_seconds=5), nats_server.url)
    await queue.publish([new_job("number", Number(n)) for n in range(JOBS)])
    ledger, stop = Ledger(), asyncio.Event()
    running = await started(queue, ledger, stop)
    await ledger.reaches(JOBS // 4)
    nats_server.kill()
    await asyncio.to_thread(nats_server.start)
    await ledger.reaches(JOBS)
    stop.set()
    async with asyncio.timeout(20):
        await running
    depth = await queue.depth()
    await queue.close()
    assert depth.dead == 0
    assert set(ledger.done) == set(range(JOBS))


async def test_consumer_deletion_drops_pending(nats_url: str) -> None:
    """Jobs lie in the stream: who deletes its consumers takes away nothing that waits or runs."""
    name = f"numbers-{uuid4().hex[:8]}"
    queue = create_queue(QueueSettings(name=name, lease_seconds=2), nats_url)
    await queue.publish([new_job("number", Number(n)) for n in range(JOBS)])
    ledger, stop = Ledger(), asyncio.Event()
    running = await started(queue, ledger, stop)
    await ledger.reaches(JOBS // 4)
    client = Client()
    await client.connect(nats_url)
    for consumer in CONSUMERS:
        assert await client.jetstream().delete_consumer(names_of(name).stream, consumer)
    await client.close()
    await ledger.reaches(JOBS)
    stop.set()
    async with asyncio.timeout(20):
        await running
    depth = await queue.depth()
    await queue.close()
    assert (depth.ready, depth.delayed, depth.leased, depth.dead) == (0, 0, 0, 0)
