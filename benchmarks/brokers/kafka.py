"""The queue port on Kafka beside the bare aiokafka client, on topics of their own.

`compare(url, jobs)` publishes and works off the same number of no-op jobs with both, in turn, and
returns jobs a second; `python -m benchmarks.brokers.kafka` starts a broker for it. The bare client
is used as its documentation shows: an idempotent producer whose `send` futures are awaited a batch
at a time, `getmany`, and a commit after each batch. It keeps no state of single jobs.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import msgspec
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from shared.jobs import Job
from shared.queue.factory import create_queue
from shared.queue.port import QueueSettings
from shared.verdicts import Done, Settlement
from tests.services.kafka import Kafka

BATCH = 200
PUBLISH_BATCH = 500
JOBS = 20_000
RUNS = 3
PARTITIONS = 2
PAYLOAD = b'{"document_id":"doc-0000000001","source":"documents","note":"%s"}' % (b"x" * 80)


class Figures(msgspec.Struct, frozen=True):
    """Jobs a second, to the last acknowledgement or commit."""

    client: str
    published: float
    worked_off: float


async def compare(url: str, jobs: int) -> Sequence[Figures]:
    """Measure both clients once, one after the other."""
    return await _ours(url, jobs), await _bare(urlsplit(url).netloc, jobs)


async def _ours(url: str, jobs: int) -> Figures:
    queue = create_queue(QueueSettings(name=f"bench-{uuid4().hex[:8]}"), url)
    await queue.open("benchmark", ["noop"])
    started = time.perf_counter()
    for at in range(0, jobs, PUBLISH_BATCH):
        count = min(PUBLISH_BATCH, jobs - at)
        await queue.publish([Job(type="noop", payload=PAYLOAD) for _ in range(count)])
    published = time.perf_counter() - started
    started, left, settled = time.perf_counter(), jobs, list[Settlement]()
    while left or settled:
        answer = await queue.exchange(settled, min(BATCH, left))
        settled = [Settlement(each, Done()) for each in answer.deliveries]
        left -= len(settled)
        if left and not settled:
            await queue.wait(1.0)
    worked_off = time.perf_counter() - started
    depth = await queue.depth()
    assert depth.ready + depth.leased == 0, f"{depth} was left behind"
    await queue.close()
    return Figures("worker-suite", jobs / published, jobs / worked_off)


async def _bare(servers: str, jobs: int) -> Figures:
    topic = f"bare-{uuid4().hex[:8]}"
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    await admin.create_topics([NewTopic(topic, PARTITIONS, 1)])
    await admin.close()
    producer = AIOKafkaProducer(bootstrap_servers=servers, enable_idempotence=True)
    async with producer:
        started = time.perf_counter()
        for at in range(0, jobs, PUBLISH_BATCH):
            count = min(PUBLISH_BATCH, jobs - at)
            sent = [await producer.send(topic, PAYLOAD) for _ in range(count)]
            await asyncio.gather(*sent)
        published = time.perf_counter() - started
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=servers,
        group_id=topic,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    async with consumer:
        started, left = time.perf_counter(), jobs
        while left:
            found = await consumer.getmany(timeout_ms=1000, max_records=BATCH)
            left -= sum(map(len, found.values()))
            await consumer.commit()
        worked_off = time.perf_counter() - started
    return Figures("aiokafka", jobs / published, jobs / worked_off)


def main() -> None:
    """Print medians of some runs on a broker of its own."""
    with tempfile.TemporaryDirectory() as directory:
        server = Kafka(Path(directory))
        server.start()
        try:
            runs = [uvloop.run(compare(server.url, JOBS)) for _ in range(RUNS)]
        finally:
            server.kill()
    print(f"{JOBS} jobs, batches of {BATCH}, {PARTITIONS} partitions, medians of {RUNS} runs")
    for figures in zip(*runs, strict=True):
        published = statistics.median(each.published for each in figures)
        worked_off = statistics.median(each.worked_off for each in figures)
        print(f"{figures[0].client:<14}{published:>12,.0f} published/s{worked_off:>12,.0f} done/s")


if __name__ == "__main__":
    main()
