"""Every test of this suite runs on every adapter."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from shared.queue.port import Queue
from tests.contracts.queue.harness import Harness, MemoryHarness, RedisHarness


@pytest.fixture(params=["memory", "valkey9", "redis7"])
async def harness(request: pytest.FixtureRequest) -> AsyncIterator[Harness]:
    """A new, empty queue on each adapter."""
    if request.param == "memory":
        made: Harness = MemoryHarness()
    else:
        fixture = "redis_url" if request.param == "valkey9" else "redis7_url"
        made = RedisHarness(request.getfixturevalue(fixture))
    yield made
    await made.close()


@pytest.fixture
async def queue(harness: Harness) -> Queue:
    """One opened consumer."""
    return await harness.consumer()


@pytest.fixture
async def other(harness: Harness, queue: Queue) -> Queue:
    """Another consumer of the same queue."""
    return await harness.consumer()
