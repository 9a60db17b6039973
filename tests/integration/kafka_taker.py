"""A worker to be killed: `python -m tests.integration.kafka_taker URL QUEUE COUNT`.

Claims so many jobs, prints `key crashes` of each in one line, and holds them until it is killed.
"""

from __future__ import annotations

import asyncio
import sys

from shared.jobs import Delivery
from shared.queue.kafka.queue import KafkaQueue
from shared.queue.port import QueueSettings

LEASE_SECONDS = 2.0


async def main(url: str, name: str, count: int) -> None:
    queue = KafkaQueue(QueueSettings(name=name, lease_seconds=LEASE_SECONDS), url)
    await queue.open("tester", ["job"])
    held: list[Delivery] = []
    while len(held) < count:
        answer = await queue.exchange([], count - len(held))
        held += answer.deliveries
        if not answer.deliveries:
            await queue.wait(1.0)
    print(" ".join(f"{each.job.key}:{each.crashes}" for each in held), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
