"""Writes records: batched, idempotent, and not done before all in-sync replicas have them."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import count

from aiokafka import AIOKafkaProducer, errors

from shared.queue.kafka.address import Address
from shared.queue.kafka.closing import stop
from shared.queue.kafka.faults import translated
from shared.queue.kafka.record import Outgoing
from shared.queue.kafka.starting import start

ANSWER_SECONDS = 15.0
MOST_BATCH_BYTES = 900_000
"""Kafka takes batches up to 1 MiB by default (message.max.bytes)."""
SPREAD = 500
"""So many jobs of one publish lie in one partition, before the next gets its part."""


class Publisher:
    """One producer, started at the first record."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._producer: AIOKafkaProducer | None = None
        self._starting = asyncio.Lock()
        self._turn = count()
        self._writing: defaultdict[tuple[str, int], asyncio.Lock] = defaultdict(asyncio.Lock)

    async def send(self, records: Sequence[Outgoing]) -> None:
        """Return when every record is stored on all in-sync replicas.

        Raises ConnectionLostError when that is not known: records may be stored, or may still be.
        """
        if not records:
            return
        with translated(self._address.servers):
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    producer = await self._started()
                    await self._send(producer, records)
            except errors.KafkaError as error:
                if not error.retriable:
                    await self.close()  # its sequence is broken; another one begins anew
                raise

    async def close(self) -> None:
        """Let go of the connection."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await stop(producer)

    async def _started(self) -> AIOKafkaProducer:
        async with self._starting:
            if self._producer is None:
                producer = AIOKafkaProducer(
                    **self._address.client(),
                    acks="all",
                    enable_idempotence=True,
                    max_batch_size=MOST_BATCH_BYTES,
                    max_request_size=100 * MOST_BATCH_BYTES,  # the broker knows its own limit
                )
                try:
                    await start(producer, self._address)
                except BaseException:
                    await stop(producer)
                    raise
                self._producer = producer
        return self._producer

    async def _send(self, producer: AIOKafkaProducer, records: Sequence[Outgoing]) -> None:
        by_place: defaultdict[tuple[str, int], list[Outgoing]] = defaultdict(list)
        for topic, partition, part in self._placed(records):
            if partition is None:
                numbers = sorted(await producer.partitions_for(topic))
                partition = numbers[next(self._turn) % len(numbers)]
            by_place[topic, partition].extend(part)
        sending = (self._write(producer, place, part) for place, part in by_place.items())
        for outcome in await asyncio.gather(*sending, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome

    async def _write(
        self, producer: AIOKafkaProducer, place: tuple[str, int], records: Sequence[Outgoing]
    ) -> None:
        """Write one batch after the other. The library sends no two at once either, but who waits
        for it behind a batch that it has to send again is soon told of a timeout."""
        async with self._writing[place]:
            for batch in _batches(producer, records):
                await (await producer.send_batch(batch, place[0], partition=place[1]))

    def _placed(
        self, records: Sequence[Outgoing]
    ) -> Iterator[tuple[str, int | None, list[Outgoing]]]:
        by_place: defaultdict[tuple[str, int | None], list[Outgoing]] = defaultdict(list)
        for record in records:
            by_place[record.topic, record.partition].append(record)
        for (topic, partition), part in by_place.items():
            for at in range(0, len(part), SPREAD):
                yield topic, partition, part[at : at + SPREAD]


def _batches(producer: AIOKafkaProducer, records: Sequence[Outgoing]) -> Iterator[object]:
    batch, filled = producer.create_batch(), False
    for record in records:
        fields = {"timestamp": None, "key": record.key, "value": record.value}
        if batch.append(**fields, headers=record.headers) is None and filled:
            yield batch
            batch = producer.create_batch()
            batch.append(**fields, headers=record.headers)
        filled = True
    yield batch
