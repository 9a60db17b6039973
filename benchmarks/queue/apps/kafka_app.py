"""Kafka with faststream, and `bare` with aiokafka alone: batches, and a commit for each."""

from __future__ import annotations

import asyncio
import json
import sys
from urllib.parse import urlsplit

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from faststream import AckPolicy, FastStream
from faststream.kafka import KafkaBroker

from benchmarks.queue.apps.ledger import QUEUE, URL, Ledger, payload, to_publish

SERVER = urlsplit(URL).netloc
PARTITIONS = 4
broker = KafkaBroker(SERVER, logger=None)
app = FastStream(broker, logger=None)
ledger = Ledger()


@broker.subscriber(QUEUE, group_id="bench", auto_offset_reset="earliest", ack_policy=AckPolicy.ACK)
async def noop(job: dict[str, object]) -> None:
    """Do one job."""
    await ledger.run(job["n"], job["sleep_ms"])  # type: ignore[arg-type]


async def bare() -> None:
    """Take, mark, commit, until killed."""
    consumer = AIOKafkaConsumer(
        QUEUE,
        bootstrap_servers=SERVER,
        group_id="bench",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    await consumer.start()
    while True:
        found = await consumer.getmany(timeout_ms=1000, max_records=500)
        for records in found.values():
            for record in records:
                ledger.start(json.loads(record.value)["n"])
        if found:
            await consumer.commit()


async def publish() -> None:
    """Publish to a topic of a few partitions, acknowledged by the broker."""
    admin = AIOKafkaAdminClient(bootstrap_servers=SERVER)
    await admin.start()
    await admin.create_topics([NewTopic(QUEUE, num_partitions=PARTITIONS, replication_factor=1)])
    await admin.close()
    async with AIOKafkaProducer(bootstrap_servers=SERVER, acks="all", linger_ms=5) as producer:
        for numbers in to_publish(500):
            sent = [await producer.send(QUEUE, json.dumps(payload(n)).encode()) for n in numbers]
            await asyncio.gather(*sent)


if __name__ == "__main__":
    asyncio.run(bare() if sys.argv[1:] == ["bare"] else publish())
