"""One kind of worker a queue; names of one life of the data."""

from __future__ import annotations

import pytest

from shared.errors import QueueConflictError
from tests.contracts.queue.harness import Harness, claim_one, job


async def test_two_kinds_of_worker_do_not_share_a_queue(harness: Harness) -> None:
    await harness.consumer("indexer")
    await harness.consumer("indexer")
    with pytest.raises(QueueConflictError, match=r"indexer workers.*crawler worker"):
        await harness.consumer("crawler")


async def test_a_closed_worker_blocks_nobody(harness: Harness) -> None:
    indexer = await harness.consumer("indexer")
    await indexer.close()
    await harness.consumer("crawler")


async def test_a_producer_is_no_worker(harness: Harness) -> None:
    producer = harness.queue(harness.settings)
    await producer.publish([job("a")])
    consumer = await harness.consumer("indexer")
    assert (await claim_one(consumer)).job.key == "a"
    await producer.close()


async def test_the_incarnation_stays_while_the_data_stays(harness: Harness) -> None:
    first, second = await harness.consumer(), await harness.consumer()
    assert await first.incarnation() == await second.incarnation() != ""
