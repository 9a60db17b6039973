"""The queue on a real Kafka whose brokers, workers and connections fail: nothing is lost."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from unittest.mock import DEFAULT, AsyncMock
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from msgspec.structs import replace

from shared.embedded.server_process import free_port
from shared.errors import ConfigError, ConnectionLostError, DependencyError
from shared.jobs import Delivery, new_job
from shared.queue.factory import create_queue
from shared.queue.kafka.admin import KafkaQueueAdmin
from shared.queue.kafka.member import LostPartitionsError
from shared.queue.kafka.queue import KafkaQueue
from shared.queue.kafka.topics import topics_of
from shared.queue.port import Queue, QueueSettings
from shared.verdicts import DeadLetter, Done, Retry, Settlement
from shared.work_source import Exchange
from tests.faults.proxy import Proxy
from tests.integration.kafka_taker import LEASE_SECONDS as SHORT
from tests.integration.test_pool_redis import JOBS, Ledger, Number, started
from tests.services.kafka import Kafka


@pytest.fixture(scope="module")
def kafka(new_directory: Callable[[str], Path]) -> Iterator[Kafka]:
    """A broker of this module's own, with a second listener for a proxy."""
    server = Kafka(new_directory("kafka"), proxied=free_port())
    server.start()
    yield server
    server.kill()


@pytest.fixture
async def proxy(kafka: Kafka) -> AsyncIterator[Proxy]:
    """Stands before the second listener, on the port that the broker names to its clients."""
    proxy = Proxy(f"kafka://127.0.0.1:{kafka.proxied_port}?partitions=2")
    proxy.port = kafka.proxied
    async with proxy:
        yield proxy


class Consumers:
    """Opened consumers of one queue; closed at the end."""

    def __init__(self, url: str, open_: AsyncExitStack) -> None:
        self.url = url
        self.settings = QueueSettings(name=f"q-{uuid4().hex[:8]}", lease_seconds=10.0)
        self._open = open_

    async def one(self, lease_seconds: float = 10.0) -> Queue:
        queue = create_queue(replace(self.settings, lease_seconds=lease_seconds), self.url)
        self._open.push_async_callback(queue.close)
        await queue.open("tester", ["job"])
        return queue


@pytest.fixture
async def consumers(kafka_url: str) -> AsyncIterator[Consumers]:
    """Consumers of a queue of four partitions."""
    async with AsyncExitStack() as open_:
        yield Consumers(kafka_url.replace("partitions=2", "partitions=4"), open_)


async def heard(queue: Queue, settled: Sequence[Settlement], want: int) -> Exchange:
    """Repeat an exchange until it is heard, as a pool does."""
    while True:
        try:
            return await queue.exchange(settled, want)
        except ConnectionLostError:
            await asyncio.sleep(0.05)


async def claim(queue: Queue, count: int) -> list[Delivery]:
    """Claim exactly so many."""
    held: list[Delivery] = []
    async with asyncio.timeout(30):
        while len(held) < count:
            held += (await heard(queue, [], count - len(held))).deliveries
            if len(held) < count:
                await queue.wait(0.2)
    return held


def done(deliveries: Sequence[Delivery]) -> list[Settlement]:
    return [Settlement(each, Done()) for each in deliveries]


def keys(deliveries: Sequence[Delivery]) -> set[str]:
    return {each.job.key for each in deliveries}


@pytest.fixture
def taker(consumers: Consumers) -> Iterator[Callable[[int], subprocess.Popen[str]]]:
    """Starts a process that claims and holds jobs; killed at the end."""
    started: list[subprocess.Popen[str]] = []

    def start(count: int) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tests.integration.kafka_taker"]
        arguments = [consumers.url, consumers.settings.name, str(count)]
        started.append(subprocess.Popen([*command, *arguments], stdout=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def told(taker: subprocess.Popen[str]) -> dict[str, int]:
    """Return the crashes by key that a taker prints; waits for it."""
    assert taker.stdout is not None
    pairs = (pair.rpartition(":") for pair in taker.stdout.readline().split())
    return {key: int(crashes) for key, _, crashes in pairs}


async def test_a_killed_workers_jobs_come_back_with_a_crash_and_no_others(
    consumers: Consumers, taker: Callable[[int], subprocess.Popen[str]]
) -> None:
    producer = await consumers.one()
    await producer.publish([new_job("job", n) for n in range(40)])
    await producer.close()
    worker = taker(10)
    held = await asyncio.to_thread(told, worker)
    worker.kill()
    queue = await consumers.one()
    found = await claim(queue, 40)
    assert {each.job.key: each.crashes for each in found if each.crashes} == dict.fromkeys(held, 1)
    assert not (await heard(queue, done(found), 0)).refused
    assert (await queue.depth()).ready == 0


async def test_what_is_done_is_deleted_and_what_waits_is_kept(
    consumers: Consumers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.queue.kafka.exchanger.TRIM_SECONDS", 0.0)
    queue = await consumers.one()
    await queue.publish([new_job("job", n) for n in range(10)])  # all in one partition
    held = await claim(queue, 8)
    await heard(queue, done([*held[:5], held[7]]), 0)
    await queue.close()
    topic = topics_of(consumers.settings.name).jobs
    async with AIOKafkaConsumer(bootstrap_servers=urlsplit(consumers.url).netloc) as reader:
        await reader.topics()
        partitions = [TopicPartition(topic, number) for number in range(4)]
        reader.assign(partitions)
        starts = await reader.beginning_offsets(partitions)
    assert sorted(starts.values()) == [0, 0, 0, 5]
    rest = await claim(await consumers.one(), 4)
    assert keys(rest) >= keys(held[5:7])


@pytest.mark.parametrize("verdict", [Done(), Retry("late", 0.0), DeadLetter("late")])
async def test_a_worker_that_slept_past_its_lease_changes_nothing(
    consumers: Consumers, taker: Callable[[int], subprocess.Popen[str]], verdict: Done | Retry
) -> None:
    sleeper = await consumers.one(SHORT)
    await sleeper.publish([new_job("job", n) for n in range(4)])
    held = await claim(sleeper, 4)
    theirs = told(taker(4))  # reads while the loop stands still: no heartbeat is sent
    assert theirs == dict.fromkeys(keys(held), 1)
    answer = await heard(sleeper, [Settlement(each, verdict) for each in held], 0)
    assert set(answer.refused) == {each.token for each in held}
    depth = await sleeper.depth()
    assert (depth.ready + depth.leased, depth.delayed, depth.dead) == (4, 0, 0)


async def test_a_rebalance_keeps_what_runs_where_its_partition_stays(consumers: Consumers) -> None:
    first = await consumers.one()
    for n in range(4):  # one partition each
        await first.publish([new_job("job", n)])
    held = await claim(first, 4)
    second = await consumers.one()
    moved = await claim(second, 2)
    assert [each.crashes for each in moved] == [0, 0], "to lose a partition is no crash"
    refused = set((await heard(first, done(held), 0)).refused)
    assert {each.job.key for each in held if each.token in refused} == keys(moved)
    assert not (await heard(second, done(moved), 0)).refused
    depth = await first.depth()
    assert (depth.ready, depth.leased) == (0, 0)


async def test_the_lease_keeper_tells_what_a_rebalance_took(consumers: Consumers) -> None:
    first = await consumers.one()
    for n in range(4):
        await first.publish([new_job("job", n)])
    held = {each.token: float("inf") for each in await claim(first, 4)}
    lost: set[str] = set()
    keeper = first.lease_keeper()
    keeper.start(held, lost.update)
    second = await consumers.one()
    moved = await claim(second, 2)
    async with asyncio.timeout(30):
        while not lost:
            await heard(first, [], 0)
            await asyncio.sleep(0.05)
    await asyncio.to_thread(keeper.stop)
    assert len(lost) == len(moved)
    assert lost < set(held)


async def test_a_message_as_large_as_the_broker_takes_may_fail_and_die(
    consumers: Consumers,
) -> None:
    queue = await consumers.one()
    head = b'{"id":"big","type":"job","payload":"'
    message = head + b"x" * (1_048_400 - len(head)) + b'"}'
    servers = urlsplit(consumers.url).netloc
    async with AIOKafkaProducer(bootstrap_servers=servers, max_request_size=2**22) as producer:
        await producer.send_and_wait(topics_of(consumers.settings.name).inbox, message)
    for verdict in (Retry("again", 0.01), DeadLetter("no" * 50_000)):
        (delivery,) = await claim(queue, 1)
        assert not (await heard(queue, [Settlement(delivery, verdict)], 0)).refused
    depth = await queue.depth()
    assert (depth.inbox, depth.ready, depth.delayed, depth.leased, depth.dead) == (0, 0, 0, 0, 1)
    with pytest.raises(ConfigError, match="too large for Kafka"):
        await queue.publish([new_job("job", "x" * 1_000_000)])


async def buried(queue: Queue, count: int) -> list[str]:
    """Make so many dead letters; return their keys."""
    await queue.publish([new_job("job", n) for n in range(count)])
    dead = [Settlement(each, DeadLetter("no")) for each in await claim(queue, count)]
    await heard(queue, dead, 0)
    return [each.delivery.job.key for each in dead]


async def test_a_worker_that_counts_the_dead_letters_keeps_none_of_them(
    consumers: Consumers,
) -> None:
    queue = await consumers.one()
    await buried(queue, 20)
    assert (await queue.depth()).dead == 20
    gc.collect()
    kept = [each for each in gc.get_objects() if type(each) is ConsumerRecord]
    assert [each for each in kept if each.topic == topics_of(consumers.settings.name).dead] == []


async def test_dead_letters_are_listed_by_page_and_replayed_by_slice(
    consumers: Consumers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.queue.kafka.admin.MOST_PER_CALL", 2)
    queue = await consumers.one()
    dead = await buried(queue, 7)
    admin = KafkaQueueAdmin(consumers.settings, consumers.url)
    assert await admin.purge([dead[1], "unknown", dead[1]]) == 1
    dead.remove(dead[1])
    pages = [[each.key for each in await admin.dead_letters(limit=4, offset=n)] for n in (0, 4)]
    assert pages == [dead[:4], dead[4:]]
    with monkeypatch.context() as patched:
        slices = [DEFAULT, DEFAULT, ConnectionLostError("cut")]
        sending = AsyncMock(wraps=admin._publisher.send, side_effect=slices)
        patched.setattr(admin._publisher, "send", sending)
        with pytest.raises(ConnectionLostError):
            await admin.replay(dead)
    assert await admin.replay(dead) == 4, "the first two were replayed, and buried"
    assert (await queue.depth()).ready == 6
    await admin.close()


@pytest.mark.parametrize("which", ["_fetcher", "_coordinator"])
async def test_a_member_whose_background_work_has_ended_joins_anew(
    consumers: Consumers, which: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = await consumers.one()
    assert isinstance(queue, KafkaQueue)
    client = queue._opened().member._consumer
    if which == "_fetcher":
        ended = client._fetcher._fetch_task
        ended.cancel()
    else:
        ended = client._coordinator._coordination_task
        broken = AsyncMock(side_effect=RuntimeError("as a library may fail"))
        monkeypatch.setattr(client._coordinator, "ensure_coordinator_known", broken)
        client._coordinator.request_rejoin()
    await asyncio.wait([ended])
    await queue.publish([new_job("job", n) for n in range(6)])
    assert len(await claim(queue, 6)) == 6


async def test_jobs_settled_out_of_order_do_not_run_again(consumers: Consumers) -> None:
    first = await consumers.one()
    await first.publish([new_job("job", n) for n in range(6)])
    held = await claim(first, 6)
    await heard(first, done(held[1:]), 0)
    await first.close()
    assert keys(await claim(await consumers.one(), 1)) == keys(held[:1])


async def test_progress_that_the_broker_is_still_loading_is_waited_for(
    consumers: Consumers, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await consumers.one()
    await first.publish([new_job("job", n) for n in range(6)])
    held = await claim(first, 6)
    await heard(first, done(held[1:]), 0)
    await first.close()
    # So the library hands on the refusal of the whole answer.
    loading = AsyncMock(
        side_effect=[{}, {}, *[DEFAULT] * 1000],
        wraps=AIOKafkaAdminClient.list_consumer_group_offsets,
    )
    monkeypatch.setattr(
        AIOKafkaAdminClient,
        "list_consumer_group_offsets",
        lambda *arguments: loading(*arguments),
    )
    second = await consumers.one()
    assert keys(await claim(second, 1)) == keys(held[:1])
    assert not (await heard(second, [], 6)).deliveries
    assert loading.await_count > 2


async def test_a_member_that_the_group_forgot_overwrites_no_progress(consumers: Consumers) -> None:
    forgotten = await consumers.one()
    assert isinstance(forgotten, KafkaQueue)
    await forgotten.publish([new_job("job", n) for n in range(6)])
    await claim(forgotten, 6)
    member = forgotten._exchanger.member
    consumer, old = member._consumer, dict(member.windows)
    member._consumer._coordinator._coordination_task.cancel()  # it joins no more
    await consumer._coordinator._maybe_leave_group()
    other = await consumers.one()
    held = await claim(other, 6)
    await heard(other, done(held), 0)
    await other.close()
    member.windows = old
    with pytest.raises(LostPartitionsError):
        await member.commit(always=True)
    last = await consumers.one()
    await last.publish([new_job("job", "last")])
    assert [each.job.payload for each in await claim(last, 1)] == [b'"last"']


async def test_cut_connections_lose_and_repeat_nothing(consumers: Consumers, proxy: Proxy) -> None:
    consumers.url = proxy.url
    queue = await consumers.one()
    sent = [new_job("job", n) for n in range(60)]
    await queue.publish(sent)
    got: Counter[str] = Counter()
    settled: list[Settlement] = []
    async with asyncio.timeout(60):
        while len(got) < len(sent) or settled:
            answer = await heard(queue, settled, 10)
            assert not answer.refused
            got.update(each.job.key for each in answer.deliveries)
            settled = done(answer.deliveries)
            await proxy.cut()
            if not settled:
                await queue.wait(0.2)
    assert got == Counter(job.key for job in sent)


async def test_a_cut_connection_costs_publishers_beside_each_other_nothing(
    consumers: Consumers, proxy: Proxy
) -> None:
    """The library mends it by itself; those who wait behind its second attempt must not hear."""
    queue = create_queue(consumers.settings, proxy.url)
    await queue.publish([new_job("job", -1)])
    for _ in range(5):
        publishing = [asyncio.create_task(queue.publish([new_job("job", n)])) for n in range(20)]
        await asyncio.sleep(0)
        await proxy.cut()
        await asyncio.gather(*publishing)
    assert (await queue.depth()).ready == 101
    await queue.close()


async def test_a_killed_broker_costs_a_pool_nothing(consumers: Consumers, kafka: Kafka) -> None:
    queue = create_queue(QueueSettings(name=consumers.settings.name, lease_seconds=20), kafka.url)
    await queue.publish([new_job("number", Number(n)) for n in range(JOBS)])
    ledger, stop = Ledger(), asyncio.Event()
    running = await started(queue, ledger, stop)
    await ledger.reaches(JOBS // 4)
    kafka.kill()
    kafka.start()  # in this thread: a server ends with the thread that started it
    await ledger.reaches(JOBS)
    stop.set()
    async with asyncio.timeout(30):
        await running
    depth = await queue.depth()
    await queue.close()
    assert (depth.ready, depth.delayed, depth.leased, depth.dead) == (0, 0, 0, 0)
    assert set(ledger.done) == set(range(JOBS))


async def test_topics_that_cannot_be_made_are_refused_with_the_brokers_reason(
    kafka_url: str,
) -> None:
    url = f"kafka://{urlsplit(kafka_url).netloc}?replication=3"
    queue = create_queue(QueueSettings(name=f"q-{uuid4().hex[:8]}"), url)
    with pytest.raises(DependencyError, match=r"does not create topic .*replication") as raised:
        await queue.open("tester", ["job"])
    assert "change partitions and replication in the URL" in str(raised.value)
    await queue.close()


async def test_a_lease_that_the_broker_does_not_allow_is_refused(kafka_url: str) -> None:
    settings = QueueSettings(name=f"q-{uuid4().hex[:8]}", lease_seconds=0.1)
    queue = create_queue(settings, kafka_url)
    with pytest.raises(ConfigError, match=r"group\.min\.session\.timeout\.ms"):
        await queue.open("tester", ["job"])
    await queue.close()


async def test_a_broker_that_is_not_there_is_named() -> None:
    port = free_port()
    queue = create_queue(QueueSettings(name="jobs"), f"kafka://127.0.0.1:{port}")
    with pytest.raises(DependencyError, match=f"127.0.0.1:{port}"):
        await queue.open("tester", ["job"])
    await queue.close()
