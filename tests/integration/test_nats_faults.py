"""JetStream servers and connections that break: nothing is lost, and who cannot work says so."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Collection, Sequence
from concurrent.futures import Future
from functools import partial
from unittest.mock import DEFAULT, AsyncMock, Mock

import pytest
from msgspec.structs import replace
from nats.aio.client import Client

from shared.errors import ConfigError, ConnectionLostError
from shared.jobs import Delivery
from shared.queue.administration import DeadLetterRecord
from shared.queue.nats_jetstream import letters
from shared.queue.nats_jetstream.admin import NatsQueueAdmin
from shared.queue.nats_jetstream.queue import NatsQueue
from shared.queue.nats_jetstream.session import Session
from shared.queue.port import QueueSettings
from shared.verdicts import DeadLetter, Done, HandBack, Retry, Settlement, Verdict
from shared.work_source import Exchange
from tests.contracts.queue.harness import job, keys
from tests.faults.proxy import Proxy
from tests.services.nats import Nats

SETTINGS = QueueSettings(name="shop.jobs", lease_seconds=10.0)
SHORT = replace(SETTINGS, lease_seconds=1.0)


@pytest.fixture
async def queue(nats_server: Nats) -> AsyncIterator[NatsQueue]:
    """A consumer on a private server."""
    queue = NatsQueue(SETTINGS, nats_server.url)
    await queue.open("tester", ["job"])
    yield queue
    await queue.close()


@pytest.fixture
async def short(nats_server: Nats) -> AsyncIterator[NatsQueue]:
    """One whose leases are short."""
    queue = NatsQueue(SHORT, nats_server.url)
    await queue.open("tester", ["job"])
    yield queue
    await queue.close()


async def exchange(queue: NatsQueue, settled: list[Settlement], want: int) -> Exchange:
    """Exchange, repeating the call while the server is away, as a pool does."""
    async with asyncio.timeout(40):
        while True:
            try:
                return await queue.exchange(settled, want)
            except ConnectionLostError:
                await asyncio.sleep(0.02)


async def claim(queue: NatsQueue, want: int = 10) -> Sequence[Delivery]:
    """Claim without settling anything."""
    return (await queue.exchange([], want)).deliveries


async def claim_one(queue: NatsQueue) -> Delivery:
    """Claim exactly one job."""
    (delivery,) = await claim(queue, 1)
    return delivery


async def settle(queue: NatsQueue, delivery: Delivery, verdict: Verdict) -> Sequence[str]:
    """Settle one delivery; return what was refused."""
    return (await queue.exchange([Settlement(delivery, verdict)], 0)).refused


async def unfinished(queue: NatsQueue) -> int:
    """Count jobs that wait or run."""
    while True:
        try:
            depth = await queue.depth()
            return depth.ready + depth.leased + depth.delayed
        except ConnectionLostError:
            await asyncio.sleep(0.02)


async def drained(queue: NatsQueue) -> set[str]:
    """Work off everything; return the keys."""
    done: set[str] = set()
    settled: list[Settlement] = []
    async with asyncio.timeout(40):
        while settled or await unfinished(queue):
            answer = await exchange(queue, settled, 50)
            settled = [Settlement(each, Done()) for each in answer.deliveries]
            done.update(keys(answer.deliveries))
            if not settled:
                await queue.wait(0.1)
    return done


@pytest.mark.parametrize("how", ["stop", "kill"])
async def test_a_restarted_server_has_everything_and_the_consumer_goes_on(
    queue: NatsQueue, nats_server: Nats, how: str
) -> None:
    await queue.publish([*(job(key) for key in "abcd"), job("later", delay=1.0)])
    held = await claim_one(queue)
    getattr(nats_server, how)()
    with pytest.raises(ConnectionLostError):
        await claim(queue, 1)
    nats_server.start()
    answer = await exchange(queue, [Settlement(held, Retry("again", 0.5))], 1)
    assert not answer.refused
    await exchange(queue, [Settlement(each, Done()) for each in answer.deliveries], 0)
    assert {*keys(answer.deliveries), *await drained(queue)} == {*"abcd", "later"}


async def test_a_connection_cut_in_every_exchange_loses_nothing(nats_server: Nats) -> None:
    async with Proxy(nats_server.url) as proxy:
        queue = NatsQueue(SHORT, proxy.url)
        await queue.open("tester", ["job"])
        sent = {str(n) for n in range(100)}
        await queue.publish([job(key) for key in sent])
        done: set[str] = set()
        verdicts = [Done(), HandBack(), Retry("again", 0.01), DeadLetter("no")]
        for round_ in range(8):
            answer = await exchange(queue, [], 10)
            settled = [
                Settlement(each, verdicts[(round_ + at) % 4])
                for at, each in enumerate(answer.deliveries)
            ]
            cutting = asyncio.create_task(_cut_soon(proxy, round_ * 0.0005))
            await exchange(queue, settled, 10)
            await cutting
            done |= {each.delivery.job.key for each in settled if each.verdict == Done()}
        done |= await drained(queue)
        admin_keys = await _dead_keys(nats_server)
        await queue.close()
    assert done | admin_keys == sent


async def _cut_soon(proxy: Proxy, seconds: float) -> None:
    await asyncio.sleep(seconds)
    await proxy.cut()


async def _letters(server: Nats) -> Sequence[DeadLetterRecord]:
    admin = NatsQueueAdmin(SETTINGS, server.url)
    found = await admin.dead_letters(limit=1000)
    await admin.close()
    return found


async def _dead_keys(server: Nats) -> set[str]:
    return {each.key for each in await _letters(server)}


async def buried(queue: NatsQueue, count: int) -> list[str]:
    """Make so many dead letters; return their keys."""
    await queue.publish([job(str(n)) for n in range(count)])
    held = await claim(queue, count)
    await queue.exchange([Settlement(each, DeadLetter("no")) for each in held], 0)
    return [each.job.key for each in held]


async def test_a_replay_of_many_that_is_cut_short_leaves_only_its_last_slice_to_repeat(
    queue: NatsQueue, nats_server: Nats, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = await buried(queue, 150)
    admin = NatsQueueAdmin(SETTINGS, nats_server.url)
    cut = AsyncMock(wraps=letters.delete, side_effect=[DEFAULT, ConnectionLostError("cut")])
    with monkeypatch.context() as patched:
        patched.setattr(letters, "delete", cut)
        with pytest.raises(ConnectionLostError):
            await admin.replay(dead)
    assert (await admin.depth()).dead == 50
    assert await admin.replay(dead) == 50
    assert (await admin.depth()).ready == 150
    await admin.close()


@pytest.mark.parametrize("verb", ["replay", "purge"])
async def test_a_key_that_is_named_twice_is_looked_for_once(
    queue: NatsQueue, nats_server: Nats, verb: str
) -> None:
    dead = await buried(queue, 2)
    admin = NatsQueueAdmin(SETTINGS, nats_server.url)
    assert await getattr(admin, verb)([*dead, *dead]) == 2
    assert (await admin.depth()).dead == 0
    await admin.close()


async def test_the_next_page_of_dead_letters_reads_none_of_the_page_before(
    queue: NatsQueue, nats_server: Nats, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = await buried(queue, 6)
    admin = NatsQueueAdmin(SETTINGS, nats_server.url)
    read = Mock(wraps=letters.decode_dead_letter)
    monkeypatch.setattr(letters, "decode_dead_letter", read)
    pages = [await admin.dead_letters(limit=2, offset=at) for at in (0, 2, 4, 6)]
    assert [each.key for page in pages for each in page] == dead
    assert read.call_count == 6
    await admin.purge(dead[:2])
    assert [each.key for each in await admin.dead_letters(limit=2, offset=2)] == dead[4:]
    await admin.close()


async def test_a_repeated_exchange_stores_what_goes_on_once(nats_server: Nats) -> None:
    async with Proxy(nats_server.url) as proxy:
        queue = NatsQueue(SETTINGS, proxy.url)
        await queue.open("tester", ["job"])
        await queue.publish([job(key) for key in "ab"])
        settled = [
            Settlement(each, verdict)
            for each, verdict in zip(
                await claim(queue, 2), [Retry("again", 60.0), DeadLetter("no")], strict=True
            )
        ]
        proxy.drop_answer = lambda request, answer: b"+WPI" in request
        for _ in range(2):
            with pytest.raises(ConnectionLostError):
                await queue.exchange(settled, 0)
        proxy.drop_answer = lambda request, answer: False
        assert not (await queue.exchange(settled, 0)).refused
        depth = await queue.depth()
        await queue.close()
    assert (depth.ready, depth.delayed, depth.leased, depth.dead) == (0, 1, 0, 1)


async def test_what_arrives_for_a_cancelled_call_is_handed_out_by_the_next(
    queue: NatsQueue,
) -> None:
    await queue.publish([job(str(n)) for n in range(50)])
    got: set[str] = set()
    for turns in range(12):
        call = asyncio.create_task(queue.exchange([], 4))
        for _ in range(turns):
            await asyncio.sleep(0)
        call.cancel()
        await asyncio.wait([call])
    async with asyncio.timeout(30):
        while len(got) < 50:
            got.update(keys(await claim(queue, 50)))
    assert got == {str(n) for n in range(50)}


async def test_what_a_failed_call_had_claimed_is_handed_out_by_the_next(
    queue: NatsQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    await queue.publish([job(key) for key in "abc"])
    settled = [Settlement(await claim_one(queue), Done())]

    async def cut(asked: Collection[object]) -> None:
        raise ConnectionLostError("the connection was cut before the acks were confirmed")

    with monkeypatch.context() as patched:
        patched.setattr(await queue._link.session(), "confirmed", cut)
        with pytest.raises(ConnectionLostError):
            await queue.exchange(settled, 10)
    again = await queue.exchange(settled, 10)
    assert not again.refused
    assert [(each.job.key, each.crashes) for each in again.deliveries] == [("b", 0), ("c", 0)]


async def test_a_lease_is_as_long_as_the_longest_that_a_living_worker_asks_for(
    short: NatsQueue, nats_server: Nats
) -> None:
    for seconds in (3.0, 0.5):
        other = NatsQueue(replace(SETTINGS, lease_seconds=seconds), nats_server.url)
        await other.open("tester", ["job"])
        known = await (await short._link.session()).api("CONSUMER.INFO.shop=2Ejobs.normal")
        assert known["config"]["ack_wait"] == 3_000_000_000
        if seconds == 0.5:
            await short.publish([job("a")])
            (delivery,) = await claim(other)
            assert delivery.lease_until < time.monotonic() + 0.5, "as it is renewed"
            await other.exchange([Settlement(delivery, Done())], 0)
            await other.close()
        else:
            long = other
    await long.close()


async def test_a_closed_consumer_gives_back_what_nobody_took(
    queue: NatsQueue, nats_server: Nats
) -> None:
    await queue.publish([job("a")])
    claims = queue._exchanger._claims
    await claims.claim(await queue._link.session(), 1, suspects=False)
    await queue.close()
    other = NatsQueue(SETTINGS, nats_server.url)
    await other.open("tester", ["job"])
    (again,) = await claim(other)
    assert (again.job.key, again.crashes) == ("a", 0)
    await other.close()


async def test_the_keeper_tells_of_leases_it_could_not_renew_in_time(
    short: NatsQueue, nats_server: Nats
) -> None:
    await short.publish([job("a")])
    delivery = await claim_one(short)
    told: Future[Collection[str]] = Future()
    keeper = short.lease_keeper()
    assert nats_server.pid is not None
    os.kill(nats_server.pid, signal.SIGSTOP)
    try:
        keeper.start({delivery.token: time.monotonic() + 60}, told.set_result)
        time.sleep(1.2 * SHORT.lease_seconds)  # longer than the lease
    finally:
        os.kill(nats_server.pid, signal.SIGCONT)
    assert list(await asyncio.wait_for(asyncio.wrap_future(told), 30)) == [delivery.token]
    await asyncio.to_thread(keeper.stop)


async def test_a_delayed_job_comes_by_the_servers_own_schedule(queue: NatsQueue) -> None:
    await queue.publish([job("a", delay=3.0)])
    assert (await queue.depth()).delayed == 1
    assert await drained(queue) == {"a"}
    assert (await queue.depth()).delayed == 0


async def test_what_is_settled_is_deleted_and_nothing_else(
    queue: NatsQueue, nats_server: Nats
) -> None:
    await queue.publish([*(job(str(n)) for n in range(10)), job("later", delay=60.0)])
    held = list(await claim(queue, 5))
    await queue.exchange([Settlement(each, Done()) for each in held[:3] + held[4:]], 0)
    session = await queue._link.session()
    await queue._exchanger._sweeper.sweep(session)
    state = (await session.api("STREAM.INFO.shop=2Ejobs"))["state"]
    assert state["messages"] == 11 - 3, "what lies above a job that runs is kept"
    await queue.exchange([Settlement(held[3], Done())], 0)
    await queue._exchanger._sweeper.sweep(session)
    state = (await session.api("STREAM.INFO.shop=2Ejobs"))["state"]
    assert state["messages"] == 11 - 5
    assert len(await claim(queue, 50)) == 5


async def test_a_server_that_hangs_does_not_hold_up_the_end(
    queue: NatsQueue, nats_server: Nats
) -> None:
    assert nats_server.pid is not None
    os.kill(nats_server.pid, signal.SIGSTOP)
    try:
        async with asyncio.timeout(20):
            await queue.close()
    finally:
        os.kill(nats_server.pid, signal.SIGCONT)


async def test_a_server_that_takes_nothing_is_given_up(
    nats_server: Nats, monkeypatch: pytest.MonkeyPatch
) -> None:
    impatient = partial(Session, patience=2.0)
    monkeypatch.setattr("shared.queue.nats_jetstream.link.Session", impatient)
    async with Proxy(nats_server.url) as proxy:
        queue = NatsQueue(SETTINGS, proxy.url)
        await queue.open("tester", ["job"])
        proxy.stall()
        async with asyncio.timeout(30):
            with pytest.raises(ConnectionLostError, match="no answer"):
                await queue.publish([job(str(n), payload=b"x" * 500_000) for n in range(40)])
        proxy.flow()
        async with asyncio.timeout(30):
            while not await published(queue, "a"):
                await asyncio.sleep(0.02)
        await queue.close()


async def published(queue: NatsQueue, key: str) -> bool:
    """Publish one job; tell whether the server heard it."""
    try:
        return (await queue.publish([job(key)])).accepted == 1
    except ConnectionLostError:
        return False


async def test_what_the_broker_cannot_do_is_refused(queue: NatsQueue) -> None:
    with pytest.raises(ConfigError, match=r"no deduplication: .*duplicate window"):
        await queue.publish([job("a", dedup="doc-1")])
    with pytest.raises(ConfigError, match=r"max_payload"):
        await queue.publish([job("a", payload=b"x" * 2_000_000)])
    assert (await queue.depth()).ready == 0


async def test_a_message_as_large_as_the_server_takes_may_fail_and_die(
    short: NatsQueue, nats_server: Nats
) -> None:
    client = Client()
    await client.connect(nats_server.url)
    head = b'{"id":"big","type":"job","payload":"'
    message = head + b"x" * (client.max_payload - len(head) - 2) + b'"}'
    await client.jetstream().publish("shop.jobs", message)
    await client.close()
    for verdict in (Retry("again", 0.0), DeadLetter("no" * 5000)):
        async with asyncio.timeout(30):
            while not (got := await claim(short)):
                await short.wait(0.1)
        assert not await settle(short, got[0], verdict)
    depth = await short.depth()
    assert (depth.inbox, depth.ready, depth.leased, depth.dead) == (0, 0, 0, 1)
    (letter,) = await _letters(nats_server)
    assert "bytes are kept" in letter.reason
    assert len(letter.raw) > 1_000_000


async def test_many_unfinished_batches_of_others_hold_up_nobody(
    queue: NatsQueue, nats_server: Nats
) -> None:
    client = Client()
    await client.connect(nats_server.url)
    for number in range(60):
        headers = {"Nats-Batch-Id": f"begun-{number}", "Nats-Batch-Sequence": "1"}
        await client.publish("shop.jobs", b"{}", headers=headers)
    await client.flush()
    assert (await queue.publish([job("a"), job("b")])).accepted == 2
    await client.close()


async def test_a_held_back_settlement_is_taken_after_its_lease(short: NatsQueue) -> None:
    """Without a fence a late Done still counts, and a late Retry makes no second copy."""
    await short.publish([job("a")])
    late = await claim_one(short)
    async with asyncio.timeout(30):
        while not (again := await claim(short, 1)):
            await short.wait(0.1)
    assert not await settle(short, again[0], Retry("again", 60.0))
    assert not await settle(short, late, Retry("late", 60.0))
    depth = await short.depth()
    assert (depth.ready, depth.delayed, depth.leased) == (0, 1, 0)
