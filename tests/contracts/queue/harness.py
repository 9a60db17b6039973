"""One queue under test: consumers on it, and a hand on its time."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AsyncExitStack
from uuid import uuid4

import redis.asyncio

from shared.jobs import Delivery, Job, Priority
from shared.queue.administration import QueueAdmin
from shared.queue.factory import create_job_results, create_schedule_store
from shared.queue.memory.admin import MemoryQueueAdmin
from shared.queue.memory.broker import MemoryBroker
from shared.queue.memory.queue import MemoryQueue
from shared.queue.memory.results import MemoryJobResults
from shared.queue.memory.schedules import MemoryScheduleStore
from shared.queue.message import decode_message
from shared.queue.port import InboxDecoder, JobResults, Queue, QueueSettings
from shared.queue.redis.admin import RedisQueueAdmin
from shared.queue.redis.keys import keys_of
from shared.queue.redis.queue import RedisQueue
from shared.queue.schedules import ScheduleStore
from shared.redis.client import connect
from shared.verdicts import Settlement, Verdict


class Harness(ABC):
    """Makes consumers of one queue, and lets time pass for it."""

    later = 60.0
    """A delay that surely does not end by itself; shorter where time cannot be moved."""
    knows_due = True
    """Whether the broker tells when delayed jobs and leases are due; else a wait ends by then, and
    an ended lease counts as one until its job is handed out again."""
    hands_back_in_front = True
    """Whether a hand-back takes the place it had; elsewhere it is claimed after what waits."""
    patience = 0.0
    """Seconds in which the broker delivers what is ready; 0 when an exchange finds it at once."""
    sends_ahead = False
    """Whether the broker sends a consumer what it wants before it claims it: then nobody else can
    claim that until this consumer closes."""
    one_line = False
    """Whether messages of the inbox and published jobs wait in one line, by their arrival."""

    def __init__(self, url: str = "") -> None:
        self.url = url
        self.settings = QueueSettings(name=f"jobs-{uuid4().hex[:8]}")
        self._open = AsyncExitStack()

    async def consumer(
        self,
        kind: str = "tester",
        *,
        settings: QueueSettings | None = None,
        decoder: InboxDecoder = decode_message,
    ) -> Queue:
        """Return an opened queue with a consumer name of its own; closed at the end."""
        queue = self.queue(settings or self.settings, decoder)
        _harnesses[id(queue)] = self
        self._open.push_async_callback(queue.close)
        await queue.open(kind, ["job"])
        return queue

    async def close(self) -> None:
        """Close everything that was opened."""
        await self._open.aclose()

    async def drained(self, queue: Queue) -> bool:
        """Tell whether the broker surely has nothing more for this consumer now."""
        return self.patience == 0

    @abstractmethod
    def queue(self, settings: QueueSettings, decoder: InboxDecoder = decode_message) -> Queue: ...

    @abstractmethod
    def admin(self) -> QueueAdmin: ...

    @abstractmethod
    async def push(self, *messages: bytes) -> None:
        """Push to the inbox, as a program in another language does, one after the other."""

    @abstractmethod
    async def expire_leases(self) -> None:
        """Let every lease that is held now end."""

    @abstractmethod
    async def ripen(self) -> None:
        """Let the time of every delayed job come."""

    def results(self) -> JobResults:
        """Return the results of this queue's jobs; needs `results`."""
        results = create_job_results(self.settings, self.url)
        self._open.push_async_callback(results.close)
        return results

    def schedules(self) -> ScheduleStore:
        """Return the schedules of this queue; needs `schedules`."""
        store = create_schedule_store(self.settings, self.url)
        self._open.push_async_callback(store.close)
        return store

    async def end_windows(self) -> None:
        """Let every deduplication window end; needs `dedup_window`."""
        raise NotImplementedError

    async def age_leases(self, seconds: float) -> None:
        """Let so much of every lease go by; where time can be moved."""
        raise NotImplementedError

    async def rest_lanes(self) -> None:
        """Let every lane rest until its rate allows a full burst again; needs `lanes`."""
        raise NotImplementedError

    async def running_in_lanes(self) -> dict[str, int]:
        """Return how many jobs the queue counts as running, by lane; needs `lanes`."""
        raise NotImplementedError


class MemoryHarness(Harness):
    """The adapter in memory."""

    def __init__(self, url: str = "") -> None:
        super().__init__(url)
        self.broker = MemoryBroker()

    def queue(self, settings: QueueSettings, decoder: InboxDecoder = decode_message) -> Queue:
        return MemoryQueue(settings, self.broker, decoder=decoder)

    def admin(self) -> QueueAdmin:
        return MemoryQueueAdmin(self.broker)

    def results(self) -> JobResults:
        return MemoryJobResults(self.broker)

    def schedules(self) -> ScheduleStore:
        return MemoryScheduleStore(self.broker)

    async def push(self, *messages: bytes) -> None:
        for message in messages:
            self.broker.push(message)

    async def expire_leases(self) -> None:
        for entry in self.broker.leased.values():
            entry.lease_until = 0.0

    async def age_leases(self, seconds: float) -> None:
        for entry in self.broker.leased.values():
            entry.lease_until -= seconds

    async def ripen(self) -> None:
        self.broker.delayed[:] = [(0.0, serial, each) for _, serial, each in self.broker.delayed]

    async def end_windows(self) -> None:
        self.broker.windows.update(dict.fromkeys(self.broker.windows, 0.0))

    async def rest_lanes(self) -> None:
        for lane in self.broker.lanes.lanes.values():
            lane.spaced = 0.0

    async def running_in_lanes(self) -> dict[str, int]:
        lanes = self.broker.lanes.lanes
        return {name: lane.running for name, lane in lanes.items() if lane.running}


class RedisHarness(Harness):
    """The adapter on a real server; time passes by moving scores into the past."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.keys = keys_of(self.settings.name)
        self.client: redis.asyncio.Redis = connect(url)
        self._open.push_async_callback(self.client.aclose)

    def queue(self, settings: QueueSettings, decoder: InboxDecoder = decode_message) -> Queue:
        return RedisQueue(settings, self.url, decoder=decoder)

    def admin(self) -> QueueAdmin:
        admin = RedisQueueAdmin(self.settings, self.url)
        self._open.push_async_callback(admin.close)
        return admin

    async def push(self, *messages: bytes) -> None:
        await self.client.lpush(self.settings.name, *messages)

    async def expire_leases(self) -> None:
        await self._into_the_past(self.keys.leases)

    async def age_leases(self, seconds: float) -> None:
        for token in await self.client.zrange(self.keys.leases, 0, -1):
            await self.client.zincrby(self.keys.leases, -1000 * seconds, token)

    async def ripen(self) -> None:
        await self._into_the_past(self.keys.delayed)

    async def end_windows(self) -> None:
        await self._into_the_past(f"{self.keys.prefix}windows")

    async def rest_lanes(self) -> None:
        await self._into_the_past(f"{self.keys.prefix}lanes:rates")
        await self._into_the_past(f"{self.keys.prefix}lanes")

    async def running_in_lanes(self) -> dict[str, int]:
        counts = await self.client.hgetall(f"{self.keys.prefix}lanes:running")
        return {lane.decode(): int(count) for lane, count in counts.items()}

    async def _into_the_past(self, sorted_set: str) -> None:
        members = await self.client.zrange(sorted_set, 0, -1)
        if members:
            await self.client.zadd(sorted_set, {member: at for at, member in enumerate(members)})


def job(
    key: str = "",
    *,
    payload: bytes = b"{}",
    priority: Priority = Priority.NORMAL,
    delay: float = 0.0,
    dedup: str = "",
    window: float = 0.0,
    replace: bool = False,
    lane: str = "",
    keep: float = 0.0,
) -> Job:
    """Return a job, by default with a key of its own."""
    return Job(
        type="job",
        key=key or uuid4().hex,
        payload=payload,
        priority=priority,
        delay_seconds=delay,
        dedup_key=dedup,
        dedup_window_seconds=window,
        replace=replace,
        lane=lane,
        keep_result_seconds=keep,
    )


_harnesses: dict[int, Harness] = {}


async def claim(queue: Queue, want: int = 10) -> Sequence[Delivery]:
    """Claim without settling anything; a broker that delivers in its own time is waited for."""
    deliveries = list((await queue.exchange([], want)).deliveries)
    harness = _harnesses.get(id(queue))
    if harness is None:  # a test made this queue itself, on Redis
        return deliveries
    until = time.monotonic() + harness.patience
    while len(deliveries) < want and not await harness.drained(queue):
        if time.monotonic() > until:
            break
        await queue.wait(min(harness.patience, 0.05))
        deliveries += (await queue.exchange([], want - len(deliveries))).deliveries
    return deliveries


async def claim_one(queue: Queue) -> Delivery:
    """Claim exactly one job."""
    (delivery,) = await claim(queue, 1)
    return delivery


async def claim_any(queues: Sequence[Queue], want: int) -> Sequence[Delivery]:
    """Claim from whichever of these consumers gets the jobs."""
    deliveries: list[Delivery] = []
    for queue in queues:
        deliveries += await claim(queue, want - len(deliveries))
    return deliveries


async def settle(queue: Queue, delivery: Delivery, verdict: Verdict) -> Sequence[str]:
    """Settle one delivery; return what was refused."""
    return (await queue.exchange([Settlement(delivery, verdict)], 0)).refused


def keys(deliveries: Sequence[Delivery]) -> list[str]:
    """Return the keys of the jobs that were handed out, in order."""
    return [each.job.key for each in deliveries]
