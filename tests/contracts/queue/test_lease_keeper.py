"""Leases renewed beside the event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection
from concurrent.futures import Future

import pytest

from shared.queue.port import Queue, QueueSettings
from shared.verdicts import Done
from tests.contracts.queue.harness import Harness, claim, claim_one, job, settle

LEASE = 1.2
"""Seconds, of which a busy machine may lose most before the keeper's thread has a turn."""
BRIEF = 0.3


@pytest.fixture
async def short(harness: Harness) -> Queue:
    """A consumer whose leases are short."""
    return await consumer(harness, LEASE)


@pytest.fixture
async def other(harness: Harness) -> Queue:
    """A second consumer; the workers of a queue agree on their leases."""
    return await consumer(harness, LEASE)


@pytest.fixture
async def brief(harness: Harness) -> Queue:
    """A consumer whose leases are over before one looks."""
    return await consumer(harness, BRIEF)


async def consumer(harness: Harness, lease_seconds: float) -> Queue:
    """Open a consumer with such leases."""
    settings = QueueSettings(name=harness.settings.name, lease_seconds=lease_seconds)
    return await harness.consumer(settings=settings)


@pytest.mark.needs("lease_per_message")
async def test_a_lease_is_kept_while_the_loop_is_blocked(
    short: Queue, other: Queue, harness: Harness
) -> None:
    await short.publish([job("a")])
    delivery = await claim_one(short)
    lost: list[str] = []
    keeper = short.lease_keeper()
    keeper.start({delivery.token: time.monotonic() + 60}, lost.extend)
    time.sleep(1.5 * LEASE)  # the loop does nothing at all
    assert not await claim(other)
    assert not await settle(short, delivery, Done())
    keeper.stop()
    assert not lost


@pytest.mark.needs("lease_per_message")
async def test_a_lease_is_renewed_only_until_its_time(brief: Queue, harness: Harness) -> None:
    other = await consumer(harness, BRIEF)
    await brief.publish([job("a")])
    delivery = await claim_one(brief)
    keeper = brief.lease_keeper()
    keeper.start({delivery.token: time.monotonic() + BRIEF}, lambda _: None)
    async with asyncio.timeout(30):
        while not (again := await claim(other)):
            await other.wait(0.1)
    keeper.stop()
    assert again[0].crashes == 1


@pytest.mark.needs("lease_per_message")
async def test_the_keeper_tells_which_leases_are_lost(
    short: Queue, other: Queue, harness: Harness
) -> None:
    await short.publish([job("a"), job("b")])
    gone = await claim_one(short)
    await harness.expire_leases()
    await claim(other, 1)
    kept = await claim_one(short)
    told: Future[Collection[str]] = Future()
    keeper = short.lease_keeper()
    held = {each.token: time.monotonic() + 60 for each in (gone, kept)}
    keeper.start(held, lambda lost: told.done() or told.set_result(lost))
    lost = await asyncio.wait_for(asyncio.wrap_future(told), 30)
    keeper.stop()
    assert list(lost) == [gone.token]


@pytest.mark.needs("lease_per_message")
async def test_what_is_held_may_change_while_the_keeper_runs(short: Queue, other: Queue) -> None:
    held: dict[str, float] = {}
    keeper = short.lease_keeper()
    keeper.start(held, lambda _: None)
    await short.publish([job("a")])
    delivery = await claim_one(short)
    held[delivery.token] = time.monotonic() + 60
    time.sleep(1.5 * LEASE)  # the loop does nothing at all
    assert not await claim(other)
    keeper.stop()


@pytest.mark.needs("lease_per_message")
async def test_a_stopped_keeper_renews_nothing(brief: Queue, harness: Harness) -> None:
    other = await consumer(harness, BRIEF)
    await brief.publish([job("a")])
    delivery = await claim_one(brief)
    keeper = brief.lease_keeper()
    keeper.start({delivery.token: time.monotonic() + 60}, lambda _: None)
    keeper.stop()
    async with asyncio.timeout(30):
        while not await claim(other):
            await other.wait(0.1)
