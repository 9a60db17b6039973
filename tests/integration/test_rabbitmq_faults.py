"""RabbitMQ: cut connections, killed consumers and restarted servers lose nothing."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from pathlib import Path
from pkgutil import resolve_name
from typing import Any
from uuid import uuid4

import aiormq
import pytest
from aiormq.exceptions import DeliveryError
from pamqp.commands import Basic

from shared.embedded.server_process import free_port
from shared.errors import ConfigError, ConnectionLostError, DependencyError
from shared.jobs import new_job
from shared.queue.port import Queue, QueueSettings
from shared.queue.rabbitmq import patience
from shared.queue.rabbitmq.admin import RabbitQueueAdmin
from shared.queue.rabbitmq.dead_letters import dead_letters
from shared.queue.rabbitmq.patience import heard
from shared.queue.rabbitmq.queue import RabbitQueue
from shared.queue.rabbitmq.registers import register_kind
from shared.queue.rabbitmq.session import Session
from shared.queue.rabbitmq.topology import names_of
from shared.verdicts import DeadLetter, Done, Retry, Settlement
from tests.contracts.queue.harness import claim, claim_one, job, keys, settle
from tests.contracts.queue.rabbitmq_harness import RabbitHarness
from tests.faults.proxy import Proxy
from tests.integration.test_pool_redis import Ledger, Number, started
from tests.services.rabbitmq import RabbitMQ


@pytest.fixture
async def harness(
    rabbitmq_url: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[RabbitHarness]:
    """A new queue whose consumers' connections can be cut."""
    monkeypatch.setattr("shared.queue.rabbitmq.session.NEW_QUEUE_SECONDS", 0.0)
    harness = RabbitHarness(rabbitmq_url)
    yield harness
    await harness.close()


async def claimed(queue: Queue, count: int) -> list[str]:
    """Claim so many jobs, settle them, and return their keys."""
    found: list[str] = []
    settled: list[Settlement] = []
    while len(found) < count or settled:
        try:
            answer = await queue.exchange(settled, min(10, count - len(found)))
        except ConnectionLostError:
            continue
        found += keys(answer.deliveries)
        settled = [Settlement(each, Done()) for each in answer.deliveries]
        if not settled and len(found) < count:
            await queue.wait(0.1)
    return found


async def test_settlements_of_a_lost_connection_are_refused_and_the_jobs_come_back(
    harness: RabbitHarness,
) -> None:
    queue = await harness.consumer()
    await queue.publish([job("done"), job("retried"), job("dead")])
    stale = [await claim_one(queue) for _ in range(3)]
    await harness.expire_leases()

    verdicts = [Done(), Retry("late", 0.0), DeadLetter("late")]
    settled = [Settlement(each, verdict) for each, verdict in zip(stale, verdicts, strict=True)]
    answer = await queue.exchange(settled, 0)

    assert list(answer.refused) == [each.token for each in stale]
    assert sorted(await claimed(queue, 3)) == ["dead", "done", "retried"]
    depth = await queue.depth()
    assert (depth.ready, depth.leased, depth.dead) == (0, 0, 0)


async def test_the_keeper_tells_of_leases_that_went_with_their_connection(
    harness: RabbitHarness,
) -> None:
    queue = await harness.consumer()
    await queue.publish([job("a")])
    delivery = await claim_one(queue)
    lost: list[str] = []
    told = asyncio.Event()

    def tell(tokens: Collection[str]) -> None:
        lost.extend(tokens)
        told.set()

    keeper = queue.lease_keeper()
    keeper.start({delivery.token: 1e9, "another-session:4:1": 1e9}, tell)
    await harness.expire_leases()
    async with asyncio.timeout(30):
        await told.wait()
    keeper.stop()
    assert lost == [delivery.token]


async def test_a_lost_connection_ends_a_wait(harness: RabbitHarness) -> None:
    queue = await harness.consumer()
    waiting = asyncio.create_task(queue.wait(60.0))
    await asyncio.wait([waiting], timeout=0.1)
    assert not waiting.done()
    await harness.expire_leases()
    async with asyncio.timeout(30):
        await waiting


async def test_cuts_at_random_lose_nothing(harness: RabbitHarness) -> None:
    # A cut returns jobs as a crash does: chance must not bury one that was returned too often.
    often = QueueSettings(name=harness.settings.name, max_crashes=100)
    queue = await harness.consumer(settings=often)
    sent = [str(n) for n in range(300)]
    await queue.publish([job(key) for key in sent])
    proxy = harness._proxy
    assert proxy is not None
    found: set[str] = set()
    settled: list[Settlement] = []
    turn = 0
    while found != set(sent):
        turn += 1
        cutting = asyncio.create_task(proxy.cut()) if turn % 5 == 0 else None
        try:
            answer = await queue.exchange(settled, 20)
        except ConnectionLostError:
            continue
        finally:
            if cutting is not None:
                await cutting
        refused = set(answer.refused)
        found |= {each.delivery.job.key for each in settled if each.delivery.token not in refused}
        settled = [Settlement(each, Done()) for each in answer.deliveries]
        if not settled:
            await queue.wait(0.1)
    await queue.exchange(settled, 0)
    assert not await harness.admin().dead_letters(), "cuts made suspects, and killed no job"


async def test_suspects_are_handed_out_one_at_a_time(harness: RabbitHarness) -> None:
    queue = await harness.consumer()
    await queue.publish([job(str(n)) for n in range(3)])
    for _ in range(2):
        assert len(await claim(queue, 3)) == 3
        await harness.expire_leases()
    (suspect,) = await claim(queue, 5)
    assert suspect.crashes == 2
    await queue.publish([job("innocent")])
    assert await claimed(queue, 1) == ["innocent"]
    assert not await claim(queue, 5), "while it runs, no other for this process"
    await queue.exchange([Settlement(suspect, Done())], 0)
    assert [each.crashes for each in await claim(queue, 5)] == [2]


async def test_a_publish_is_repeated_until_it_is_confirmed(harness: RabbitHarness) -> None:
    queue = await harness.consumer()
    proxy = harness._proxy
    assert proxy is not None
    await proxy.refuse()
    await proxy.cut()
    with pytest.raises(ConnectionLostError, match=r"RabbitMQ at 127\.0\.0\.1"):
        await queue.publish([job("a")])
    await proxy.accept()
    await queue.publish([job("a")])
    assert await claimed(queue, 1) == ["a"]


async def test_jobs_of_a_killed_consumer_come_back(harness: RabbitHarness, tmp_path: Path) -> None:
    queue = await harness.consumer(kind="kill-test")
    sent = [str(n) for n in range(10)]
    await queue.publish([job(key) for key in sent])
    ledger = tmp_path / "ledger"
    ledger.touch()
    command = ["-m", "tests.integration.rabbitmq_worker", harness.url, harness.settings.name]
    victim = subprocess.Popen([sys.executable, *command, str(ledger)])
    while not ledger.read_text():
        await asyncio.sleep(0.02)
    victim.kill()
    victim.wait()
    assert sorted(await claimed(queue, 10)) == sorted(sent)


async def test_a_shorter_delay_is_not_held_up_by_a_longer_one(harness: RabbitHarness) -> None:
    queue = await harness.consumer()
    await queue.publish([job("long", delay=30.0), job("short", delay=0.2)])
    assert await claimed(queue, 1) == ["short"]
    assert (await queue.depth()).delayed == 1


async def test_what_the_broker_gave_up_is_listed_with_its_reason(harness: RabbitHarness) -> None:
    """A message that no consumer survives reading ends at the broker's own limit."""
    await harness.queue(harness.settings).publish([job("hopeless")])
    async with aiormq.connect(harness.url) as connection:
        channel = await connection.channel()
        while (message := await channel.basic_get(harness.settings.name)).body:
            await channel.basic_nack(message.delivery_tag or 0, requeue=True)
    admin = harness.admin()
    while not (letters := await admin.dead_letters()):
        await asyncio.sleep(0.01)
    assert [each.key for each in letters] == ["hopeless"]
    assert letters[0].reason == "moved here by RabbitMQ: delivery_limit"
    assert await admin.replay(["hopeless"]) == 1
    assert await claimed(await harness.consumer(), 1) == ["hopeless"]


async def test_dead_letters_survive_being_listed_and_keep_their_order(
    harness: RabbitHarness,
) -> None:
    queue = await harness.consumer()
    sent = [f"job-{n:02}" for n in range(30)]
    await queue.publish([job(key) for key in sent])
    for _ in sent:
        await settle(queue, await claim_one(queue), DeadLetter("no"))
    one, two = harness.admin(), harness.admin()
    for _ in range(3):
        pages = await asyncio.gather(one.dead_letters(limit=7), two.dead_letters(offset=7))
        assert [each.key for page in pages for each in page] == sent
    assert await one.purge(sent[:10]) == 10
    assert [each.key for each in await two.dead_letters()] == sent[10:]


async def test_a_queue_of_another_make_is_refused(rabbitmq_url: str) -> None:
    name = f"classic-{uuid4().hex}"
    async with aiormq.connect(rabbitmq_url) as connection:
        channel = await connection.channel()
        await channel.queue_declare(name, durable=True)
        queue = RabbitQueue(QueueSettings(name=name), rabbitmq_url)
        with pytest.raises(DependencyError, match="inequivalent arg"):
            await queue.open("tester", ["job"])
        await queue.close()
        for each in (name, f"{name}.dead"):
            await channel.queue_delete(each)


@pytest.mark.parametrize(
    ("name", "path", "problem"),
    [
        ("", "/", "1 to 200 bytes"),
        ("ü" * 101, "/", "1 to 200 bytes, this one has 202"),
        ("amq.jobs", "/", "belong to RabbitMQ"),
        ("jobs", "/a/b", "write a slash inside of the name as %2F"),
    ],
)
def test_bad_names_are_refused(name: str, path: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        RabbitQueue(QueueSettings(name=name), f"amqp://guest:guest@127.0.0.1{path}")


@pytest.mark.parametrize(
    "url",
    [
        "amqp://guest:canary/1@127.0.0.1:5672/",
        "amqp://guest:can#ary@127.0.0.1:5672/",
        "amqp://:5672/canary/",
        "amqp://guest@h:canary/",
    ],
)
def test_a_bad_url_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ConfigError, match="RabbitMQ URL") as caught:
        RabbitQueue(QueueSettings(name="jobs"), url)
    assert "can" not in str(caught.value).replace("canonical", "")


async def test_tls_is_never_given_up(rabbitmq_url: str) -> None:
    """amqps:// to a port that speaks plain AMQP fails, with nothing sent in the clear."""
    url = rabbitmq_url.replace("amqp://guest:guest", "amqps://guest:canary")
    queue = RabbitQueue(QueueSettings(name="jobs"), url)
    with pytest.raises(DependencyError, match="RabbitMQ at") as caught:
        await queue.open("tester", ["job"])
    assert "canary" not in f"{caught.value!r}{caught.value.__cause__!r}"
    await queue.close()


async def test_a_missing_server_is_told_without_the_password() -> None:
    queue = RabbitQueue(QueueSettings(name="jobs"), f"amqp://guest:canary@127.0.0.1:{free_port()}/")
    with pytest.raises(DependencyError, match="RabbitMQ at 127") as caught:
        await queue.open("tester", ["job"])
    error: BaseException | None = caught.value
    while error is not None:
        assert "canary" not in f"{error!r}"
        error = error.__cause__ or error.__context__
    await queue.close()


async def test_what_a_full_queue_refuses_is_not_held_for_ever(harness: RabbitHarness) -> None:
    """A dead letter that the broker takes not now: its job comes back, and is settled later."""
    queue = await harness.consumer()
    await queue.publish([job("a")])
    delivery = await claim_one(queue)
    session = queue._link.session  # type: ignore[attr-defined]

    async def refused(copies: object) -> None:
        raise DeliveryError(None, Basic.Nack(delivery_tag=1))

    session.store = refused
    with pytest.raises(ConnectionLostError, match="does not take the message now"):
        await queue.exchange([Settlement(delivery, DeadLetter("no"))], 0)
    answer = await queue.exchange([Settlement(delivery, DeadLetter("no"))], 0)
    assert answer.refused == [delivery.token]
    assert await claimed(queue, 1) == ["a"]


async def test_a_connection_that_ends_ends_the_count_of_delayed_jobs(
    harness: RabbitHarness,
) -> None:
    queue = await harness.consumer()
    proxy = harness._proxy
    assert proxy is not None
    await queue.publish([job("later", delay=60.0)])
    proxy.drop_answer = lambda request, answer: b"last" in request
    async with asyncio.timeout(30):
        with pytest.raises(ConnectionLostError):
            await queue.depth()
    proxy.drop_answer = lambda request, answer: False
    assert (await queue.depth()).delayed == 1


@pytest.mark.parametrize("what", ["password", "vhost"])
async def test_a_wrong_login_or_virtual_host_says_so_without_the_password(
    rabbitmq_url: str, what: str
) -> None:
    wrong = rabbitmq_url.replace("guest:guest", "guest:canary")
    url = wrong if what == "password" else f"{rabbitmq_url}nowhere"
    queue = RabbitQueue(QueueSettings(name="jobs"), url)
    with pytest.raises(DependencyError, match=r"ACCESS_REFUSED|nowhere") as caught:
        await queue.open("tester", ["job"])
    assert "canary" not in f"{caught.value!r}{caught.value.__cause__!r}"
    await queue.close()


async def test_a_broker_that_takes_nothing_is_a_lost_connection(
    harness: RabbitHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = await harness.consumer()
    assert harness._proxy is not None
    harness._proxy.stall()
    with monkeypatch.context() as impatient:
        impatient.setattr("shared.queue.rabbitmq.patience.ANSWER_SECONDS", 0.2)
        with pytest.raises(ConnectionLostError, match="RabbitMQ at"):
            await queue.publish([job("a")])
    await harness._proxy.cut()
    harness._proxy.flow()
    await queue.publish([job("b")])
    assert "b" in await claimed(queue, 1) or "b" in await claimed(queue, 1)


async def test_a_broker_that_answers_no_more_is_a_lost_connection(
    harness: RabbitHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = await harness.consumer()
    await queue.publish([job("a"), job("b")])
    (held,) = await claim(queue, 1)
    assert harness._proxy is not None
    harness._proxy.stall()
    with monkeypatch.context() as impatient:
        impatient.setattr("shared.queue.rabbitmq.patience.ANSWER_SECONDS", 0.2)
        with pytest.raises(ConnectionLostError, match="RabbitMQ at"):
            await queue.exchange([Settlement(held, Done())], 0)
    await harness._proxy.cut()
    harness._proxy.flow()
    assert sorted(await claimed(queue, 2)) == ["a", "b"]


Ask = Callable[[RabbitHarness, Queue], Awaitable[object]]


async def _retry_late(_: RabbitHarness, queue: Queue) -> object:
    return await queue.exchange([Settlement(await claim_one(queue), Retry("late", 60.0))], 0)


async def _depth(_: RabbitHarness, queue: Queue) -> object:
    return await queue.depth()


async def _list_dead(harness: RabbitHarness, _: Queue) -> object:
    assert harness._proxy is not None
    admin = RabbitQueueAdmin(harness.settings, harness._proxy.url)
    try:
        return await admin.dead_letters()
    finally:
        await admin.close()


@pytest.mark.parametrize(
    ("ask", "asked"),
    [
        (_retry_late, "shared.queue.rabbitmq.session.make_delay_queue"),
        (_depth, "shared.queue.rabbitmq.session.delay_queues"),
        (_list_dead, "shared.queue.rabbitmq.dead_letters._fill"),
        (_list_dead, "shared.queue.rabbitmq.dead_letters._until_back"),
    ],
)
async def test_no_request_waits_for_ever(
    harness: RabbitHarness, monkeypatch: pytest.MonkeyPatch, ask: Ask, asked: str
) -> None:
    queue = await harness.consumer()
    await queue.publish([job("a")])
    proxy = harness._proxy
    assert proxy is not None
    answered = resolve_name(asked)

    async def stalled(*given: object) -> object:
        proxy.stall()
        return await answered(*given)

    with monkeypatch.context() as impatient:
        impatient.setattr(asked, stalled)
        impatient.setattr("shared.queue.rabbitmq.patience.ANSWER_SECONDS", 0.5)
        impatient.setattr("shared.queue.rabbitmq.session.CLOSE_SECONDS", 0.2)
        with pytest.raises(ConnectionLostError, match=r"no answer for 0\.5 s"):
            async with asyncio.timeout(10):  # heartbeats would tell later
                await ask(harness, queue)
    await proxy.cut()
    proxy.flow()
    assert await claimed(queue, 1) == ["a"]
    assert not await harness.admin().dead_letters()


async def test_a_conversation_of_many_answers_may_be_long(
    harness: RabbitHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each answer begins the time anew."""
    ends: list[float] = []

    def noted() -> None:
        heard()
        limit = patience._limit.get()
        assert limit is not None
        ends.append(limit.when() or 0.0)

    queue = await harness.consumer()
    monkeypatch.setattr("shared.queue.rabbitmq.publisher.MOST_PER_WRITE", 1)
    for module in ("publisher", "dead_letters"):
        monkeypatch.setattr(f"shared.queue.rabbitmq.{module}.heard", noted)
    await queue.publish([job(str(n)) for n in range(5)])
    assert len(ends) == 5
    for _ in range(5):
        await settle(queue, await claim_one(queue), DeadLetter("no"))
    ends.clear()
    await harness.admin().dead_letters()
    assert ends
    assert ends == sorted(ends)


async def test_who_holds_the_dead_letters_for_too_long_is_told_of(
    harness: RabbitHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = await harness.consumer()
    await queue.publish([job("a")])
    await settle(queue, await claim_one(queue), DeadLetter("no"))
    admin = harness.admin()
    monkeypatch.setattr("shared.queue.rabbitmq.dead_letters.LOCK_SECONDS", 0.1)
    async with aiormq.connect(harness.url) as connection:
        channel = await connection.channel()
        await channel.queue_declare(names_of(harness.settings.name).lock, exclusive=True)
        with pytest.raises(DependencyError, match="another program has held the dead letters"):
            async with asyncio.timeout(10):
                await admin.dead_letters()
    monkeypatch.undo()
    assert [each.key for each in await admin.dead_letters()] == ["a"]


async def test_more_dead_letters_than_a_channel_holds_are_all_listed_and_replayed(
    harness: RabbitHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.queue.rabbitmq.dead_letters.LETTERS_PER_CHANNEL", 2)
    queue, admin = await harness.consumer(), harness.admin()
    sent = [f"job-{n}" for n in range(7)]
    await queue.publish([job(key) for key in sent])
    for _ in sent:
        await settle(queue, await claim_one(queue), DeadLetter("no"))
    assert [each.key for each in await admin.dead_letters()] == sent
    assert await admin.purge(sent[5:]) == 2
    assert (await admin.depth()).dead == 5
    assert await admin.replay(sent) == 5
    assert sorted(await claimed(queue, 5)) == sent[:5]


async def test_the_pages_of_one_listing_come_from_one_reading(
    harness: RabbitHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue, admin = await harness.consumer(), harness.admin()
    sent = [f"job-{n}" for n in range(4)]
    await queue.publish([job(key) for key in sent])
    for _ in sent:
        await settle(queue, await claim_one(queue), DeadLetter("no"))
    readings: list[object] = []

    def counted(*given: Any) -> Any:
        readings.append(given)
        return dead_letters(*given)

    monkeypatch.setattr("shared.queue.rabbitmq.admin.dead_letters", counted)
    pages = [await admin.dead_letters(limit=2, offset=at) for at in (0, 2, 4)]
    assert [[each.key for each in page] for page in pages] == [sent[:2], sent[2:], []]
    assert len(readings) == 1
    assert await admin.purge(sent[:1]) == 1
    assert [each.key for each in await admin.dead_letters(limit=1)] == sent[1:2]


async def test_a_session_that_does_not_open_in_time_is_a_lost_connection(
    harness: RabbitHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = await harness.consumer()
    assert isinstance(queue, RabbitQueue)
    await queue.publish([job("a")])
    proxy = harness._proxy
    assert proxy is not None

    async def stalled(session: Session, kind: str) -> None:
        proxy.stall()
        await register_kind(session, kind)

    await proxy.cut()
    while queue._link.session is not None:  # until it hears of the cut
        await asyncio.sleep(0.01)
    with monkeypatch.context() as impatient:
        impatient.setattr("shared.queue.rabbitmq.queue.register_kind", stalled)
        impatient.setattr("shared.queue.rabbitmq.patience.ANSWER_SECONDS", 0.5)
        impatient.setattr("shared.queue.rabbitmq.session.CLOSE_SECONDS", 0.2)
        with pytest.raises(ConnectionLostError, match="RabbitMQ at"):
            async with asyncio.timeout(10):  # heartbeats would tell later
                await queue.exchange([], 1)
    proxy.flow()
    assert await claimed(queue, 1) == ["a"]


async def test_a_queue_that_was_deleted_is_made_anew(harness: RabbitHarness) -> None:
    queue = await harness.consumer()
    async with aiormq.connect(harness.url) as connection:
        channel = await connection.channel()
        await channel.queue_delete(harness.settings.name)
    with pytest.raises(ConnectionLostError, match="a queue is gone"):
        await queue.publish([job("a")])
    await queue.publish([job("a")])
    assert await claimed(queue, 1) == ["a"]


async def test_a_server_that_hangs_is_given_up(
    rabbitmq_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.queue.rabbitmq.connection.CONNECT_SECONDS", 0.2)
    async with Proxy(rabbitmq_url) as proxy:
        proxy.stall()
        queue = RabbitQueue(QueueSettings(name="jobs"), proxy.url)
        with pytest.raises(DependencyError, match="RabbitMQ at"):
            await queue.open("tester", ["job"])
        await queue.close()


@asynccontextmanager
async def pool_on(url: str, name: str, jobs: int) -> AsyncIterator[tuple[Queue, Ledger]]:
    """Run a pool on numbers until the caller is done, and see it stop."""
    queue = RabbitQueue(QueueSettings(name=name, lease_seconds=10), url)
    await queue.publish([new_job("number", Number(n)) for n in range(jobs)])
    ledger, stop = Ledger(), asyncio.Event()
    running = await started(queue, ledger, stop)
    yield queue, ledger
    stop.set()
    async with asyncio.timeout(40):
        await running
    depth = await queue.depth()
    await queue.close()
    assert (depth.ready, depth.delayed, depth.leased, depth.dead) == (0, 0, 0, 0)


@pytest.mark.slow
async def test_a_server_that_restarts_and_one_that_is_killed_cost_a_pool_nothing(
    rabbitmq_server: RabbitMQ,
) -> None:
    jobs = 300
    async with pool_on(rabbitmq_server.url, "numbers", jobs) as (queue, ledger):
        before = await queue.incarnation()
        await ledger.reaches(jobs // 4)
        await asyncio.to_thread(rabbitmq_server.restart)
        await ledger.reaches(jobs // 2)
        await asyncio.to_thread(rabbitmq_server.kill)
        await asyncio.to_thread(rabbitmq_server.start)
        await ledger.reaches(jobs)
        assert await queue.incarnation() == before
    assert set(ledger.done) == set(range(jobs))
