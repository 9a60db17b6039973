"""What a campaign of the ledger reads from its broker in the end."""

from __future__ import annotations

from benchmarks.ledger.campaign import read_dead_letters
from shared.jobs import new_job
from shared.queue.memory.admin import MemoryQueueAdmin
from shared.queue.memory.broker import MemoryBroker
from shared.queue.memory.queue import MemoryQueue
from shared.queue.port import QueueSettings
from shared.verdicts import DeadLetter, Settlement


async def test_a_number_that_died_twice_is_read_once_and_both_letters_count() -> None:
    broker = MemoryBroker()
    queue = MemoryQueue(QueueSettings(name="ledger"), broker)
    await queue.open("tester", ["numbered"])
    await queue.publish([new_job("numbered", {"n": n}) for n in (1, 2, 2, 3)])
    found = (await queue.exchange([], 10)).deliveries
    await queue.exchange([Settlement(each, DeadLetter("no")) for each in found], 0)
    assert await read_dead_letters(MemoryQueueAdmin(broker)) == ({1, 2, 3}, {"no": 4})
