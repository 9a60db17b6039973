"""Kafka with aiokafka, and with the broker's own kafka-consumer-perf-test."""

from __future__ import annotations

import asyncio
import time
from urllib.parse import urlsplit
from uuid import uuid4

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from benchmarks.brokers.contest import BATCH, PAYLOAD, Contest, parts
from tests.services.kafka import Kafka, java, libraries

PARTITIONS = 2
_PERF = "org.apache.kafka.tools.ConsumerPerformance"


async def _bare(url: str, jobs: int) -> float:
    servers = urlsplit(url).netloc
    topic = await _filled(servers, jobs)
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
        return time.perf_counter() - started


async def _perf_test(url: str, jobs: int) -> float:
    servers = urlsplit(url).netloc
    topic = await _filled(servers, jobs)
    process = await asyncio.create_subprocess_exec(
        *(java(), "-cp", f"{libraries()}/*", _PERF, "--bootstrap-server", servers),
        *("--topic", topic, "--messages", str(jobs), "--timeout", "60000", "--hide-header"),
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate()
    figures = said.decode().strip().splitlines()[-1].split(",")
    assert int(figures[4]) >= jobs, f"not all was read: {figures}"
    return jobs / float(figures[9])  # fetch.nMsg.sec, without the time of the group's assignment


async def _filled(servers: str, jobs: int) -> str:
    topic = f"bare-{uuid4().hex[:8]}"
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    await admin.create_topics([NewTopic(topic, PARTITIONS, 1)])
    await admin.close()
    async with AIOKafkaProducer(bootstrap_servers=servers, enable_idempotence=True) as producer:
        for count in parts(jobs, 1000):
            await asyncio.gather(*[await producer.send(topic, PAYLOAD) for _ in range(count)])
    return topic


CONTEST = Contest(
    server=Kafka,
    jobs=20_000,
    settings=f"one node, acks all, {PARTITIONS} partitions, flushed by the operating system",
    client="aiokafka, getmany(200) and a commit of offsets: no state of single jobs",
    bare=_bare,
    ceiling_is="kafka-consumer-perf-test (Java), which reads and settles nothing",
    ceiling=_perf_test,
    versions=("aiokafka",),
)
