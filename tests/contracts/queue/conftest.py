"""Every test of this suite runs on every adapter that can do what the test needs."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from shared.queue.port import Queue
from tests.contracts.queue.brokers import BROKERS, able
from tests.contracts.queue.harness import Harness


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Choose the adapters by the capabilities that the test's marks name."""
    if "harness" in metafunc.fixturenames:
        marks = metafunc.definition.iter_markers("needs")
        needs = [need for mark in marks for need in mark.args]
        metafunc.parametrize("harness", able(*needs), indirect=True)


@pytest.fixture(autouse=True)
def _new_queues_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No server is killed here, so a new queue need not be on disk before it is used."""
    monkeypatch.setattr("shared.queue.rabbitmq.session.NEW_QUEUE_SECONDS", 0.0)


@pytest.fixture
async def harness(request: pytest.FixtureRequest) -> AsyncIterator[Harness]:
    """A new, empty queue on each adapter."""
    made = BROKERS[request.param].open(request)
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
