"""Jobs are taken off the queue, waiting or running."""

from __future__ import annotations

import asyncio

import pytest

from shared.jobs import Priority
from shared.queue.port import Queue, QueueSettings
from shared.verdicts import DeadLetter, Done, HandBack, Retry
from tests.contracts.queue.harness import Harness, claim, claim_one, job, keys, settle

pytestmark = pytest.mark.needs("cancel")


async def test_a_job_that_is_ready_is_never_handed_out(queue: Queue, harness: Harness) -> None:
    await queue.publish([job("a"), job("b"), job("c")])
    assert await harness.admin().cancel(["a", "c", "unknown", "a"]) == 2
    assert (await queue.depth()).ready == 1
    assert keys(await claim(queue)) == ["b"]


async def test_many_cancelled_in_front_do_not_hide_the_one_behind(
    queue: Queue, harness: Harness
) -> None:
    many = [f"job-{n}" for n in range(300)]
    await queue.publish([job(key) for key in [*many, "last"]])
    assert await harness.admin().cancel(many) == 300
    assert keys(await claim(queue, 1)) == ["last"]
    depth = await queue.depth()
    assert (depth.ready, depth.leased) == (0, 1)


async def test_a_delayed_job_is_cancelled_before_and_after_its_first_run(
    queue: Queue, harness: Harness
) -> None:
    await queue.publish([job(key, delay=harness.later) for key in ("anew", "new")])
    await queue.publish([job("tried")])
    await settle(queue, await claim_one(queue), Retry("first", harness.later))
    assert await harness.admin().cancel(["new", "tried"]) == 2
    assert (await queue.depth()).delayed == 1
    await harness.ripen()
    assert keys(await claim(queue)) == ["anew"]


async def test_the_settlement_of_a_cancelled_job_is_refused(queue: Queue, harness: Harness) -> None:
    await queue.publish([job(key) for key in "abcd"])
    held = await claim(queue)
    assert await harness.admin().cancel([each.job.key for each in held]) == 4
    assert (await queue.depth()).leased == 0
    for delivery, verdict in zip(
        held, (Done(), Retry("no", 0.0), HandBack(), DeadLetter("no")), strict=True
    ):
        assert await settle(queue, delivery, verdict) == [delivery.token]
    depth = await queue.depth()
    assert (depth.ready, depth.delayed, depth.leased, depth.dead) == (0, 0, 0, 0)
    assert not await claim(queue)


async def test_the_worker_hears_from_its_lease_keeper(harness: Harness) -> None:
    settings = QueueSettings(name=harness.settings.name, lease_seconds=1.5)
    queue = await harness.consumer(settings=settings)
    await queue.publish([job("a"), job("b")])
    held = {each.token: float("inf") for each in await claim(queue)}
    lost: asyncio.Queue[str] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    keeper = queue.lease_keeper()
    keeper.start(
        held,
        lambda tokens: [loop.call_soon_threadsafe(lost.put_nowait, t) for t in tokens] and None,
    )
    try:
        await harness.admin().cancel(["a"])
        assert (await lost.get()).startswith("a")
    finally:
        await asyncio.to_thread(keeper.stop)


async def test_no_token_of_a_cancelled_job_is_good_for_the_one_that_takes_its_key(
    queue: Queue, harness: Harness
) -> None:
    tokens = set[str]()
    for delay in (0.0, harness.later):  # ready again, and delayed
        await queue.publish([job("a")])
        delivery = await claim_one(queue)
        await settle(queue, delivery, Retry("once more", delay))
        assert await harness.admin().cancel(["a"]) == 1
        tokens.add(delivery.token)
    await queue.publish([job("a")])
    last = await claim_one(queue)
    assert last.token not in tokens
    assert await settle(queue, delivery, Done()) == [delivery.token]
    assert await settle(queue, last, Done()) == []


async def test_a_cancelled_key_can_be_published_again_and_runs_once(
    queue: Queue, harness: Harness
) -> None:
    admin = harness.admin()
    for payload in (b"1", b"2", b"3"):
        assert (await queue.publish([job("a", payload=payload)])).accepted == 1
        await admin.cancel(["a"])
    await queue.publish([job("a", payload=b"4"), job("b")])
    assert (await queue.depth()).ready == 2
    claimed = await claim(queue)
    assert [(each.job.key, each.job.payload) for each in claimed] == [("a", b"4"), ("b", b"{}")]
    for delivery in claimed:
        assert not await settle(queue, delivery, Done())
    assert not await claim(queue)
    assert (await queue.depth()).ready == 0


@pytest.mark.needs("priority")
async def test_a_key_published_again_keeps_its_new_place(queue: Queue, harness: Harness) -> None:
    await queue.publish([job("a", priority=Priority.HIGH), job("b")])
    await harness.admin().cancel(["a"])
    await queue.publish([job("a", priority=Priority.LOW)])
    assert keys(await claim(queue)) == ["b", "a"]


async def test_an_answer_from_before_the_cancel_does_not_settle_the_new_job(
    queue: Queue, harness: Harness
) -> None:
    await queue.publish([job("a")])
    stale = await claim_one(queue)
    await harness.admin().cancel(["a"])
    await queue.publish([job("a")])
    again = await claim_one(queue)
    assert await settle(queue, stale, Done()) == [stale.token]
    assert not await settle(queue, again, Done())


@pytest.mark.needs("priority")
async def test_a_replayed_job_survives_the_cancel_of_its_namesake(
    queue: Queue, harness: Harness
) -> None:
    await queue.publish([job("a", payload=b"1", priority=Priority.HIGH)])
    await settle(queue, await claim_one(queue), DeadLetter("no"))
    await queue.publish([job("b"), job("a", payload=b"2")])
    admin = harness.admin()
    await admin.cancel(["a"])
    assert await admin.replay(["a"]) == 1
    first, second = await claim(queue)
    assert (first.job.payload, second.job.key) == (b"1", "b")


@pytest.mark.needs("deduplication")
async def test_a_cancelled_job_no_longer_covers_its_deduplication_key(
    queue: Queue, harness: Harness
) -> None:
    await queue.publish([job("a", dedup="doc-1"), job("b", dedup="doc-2", delay=harness.later)])
    await harness.admin().cancel(["a", "b"])
    again = [job("c", dedup="doc-1"), job("d", dedup="doc-2")]
    assert (await queue.publish(again)).accepted == 2
    assert keys(await claim(queue)) == ["c", "d"]


async def test_a_crashed_job_is_cancelled_like_any(queue: Queue, harness: Harness) -> None:
    await queue.publish([job("a")])
    for _ in range(2):
        await claim(queue)
        await harness.expire_leases()
    await queue.exchange([], 0)
    assert (await queue.depth()).ready == 1
    assert await harness.admin().cancel(["a"]) == 1
    assert (await queue.depth()).ready == 0
    assert not await claim(queue)


@pytest.mark.needs("listing")
async def test_the_cancelled_are_not_listed(queue: Queue, harness: Harness) -> None:
    await queue.publish([job(key) for key in "abcd"])
    admin = harness.admin()
    await admin.cancel(["a", "c"])
    assert [each.key for each in await admin.jobs("ready")] == ["b", "d"]
    await queue.publish([job("c")])
    assert [each.key for each in await admin.jobs("ready")] == ["b", "d", "c"]
    assert [each.key for each in await admin.jobs("ready", limit=1, offset=1)] == ["d"]
    assert await admin.job("a") is None
