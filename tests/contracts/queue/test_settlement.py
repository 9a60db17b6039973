"""Verdicts, fences, leases and crashes."""

from __future__ import annotations

import pytest

from shared.queue.port import Queue, QueueSettings
from shared.verdicts import (
    DeadLetter,
    Discard,
    Done,
    HandBack,
    Retry,
    Settlement,
    Snooze,
    Verdict,
)
from tests.contracts.queue.harness import Harness, claim, claim_one, job, keys, settle


@pytest.mark.parametrize("verdict", [Done(), Done({"some": "result"}), Discard("out of scope")])
async def test_a_finished_job_is_gone(queue: Queue, harness: Harness, verdict: Verdict) -> None:
    await queue.publish([job("a")])
    assert not await settle(queue, await claim_one(queue), verdict)
    await harness.expire_leases()
    assert not await claim(queue)
    assert (await queue.depth()).leased == 0


async def test_a_retry_comes_back_after_its_delay_with_a_higher_attempt(
    queue: Queue, harness: Harness
) -> None:
    await queue.publish([job("a", payload=b'{"x": 1}')])
    await settle(queue, await claim_one(queue), Retry("broken", after=harness.later))
    assert not await claim(queue)
    await harness.ripen()
    again = await claim_one(queue)
    assert (again.job.key, again.job.payload, again.attempt) == ("a", b'{"x": 1}', 2)


async def test_a_retry_at_once_may_be_claimed_in_the_same_exchange(queue: Queue) -> None:
    await queue.publish([job("a")])
    first = await claim_one(queue)
    answer = await queue.exchange([Settlement(first, Retry("broken", after=0.0))], 1)
    again = answer.deliveries or await claim(queue, 1)
    assert [(each.job.key, each.attempt) for each in again] == [("a", 2)]


@pytest.mark.needs("free_snooze")
async def test_a_snooze_spends_no_attempt(queue: Queue, harness: Harness) -> None:
    await queue.publish([job("a")])
    await settle(queue, await claim_one(queue), Snooze(harness.later))
    assert not await claim(queue)
    await harness.ripen()
    assert (await claim_one(queue)).attempt == 1


async def test_work_handed_back_is_handed_out_again_and_spends_nothing(
    queue: Queue, other: Queue
) -> None:
    await queue.publish([job(key) for key in "abcd"])
    first, second, third = await claim(queue, 3)
    handed_back = [Settlement(first, HandBack()), Settlement(second, HandBack())]
    await queue.exchange([*handed_back, Settlement(third, Done())], 0)
    await queue.close()
    again = await claim(other, 3)
    assert sorted(keys(again)) == ["a", "b", "d"]
    assert [(each.attempt, each.crashes) for each in again] == [(1, 0)] * 3


@pytest.mark.needs("lease_per_message")
async def test_work_handed_back_keeps_its_order(
    queue: Queue, other: Queue, harness: Harness
) -> None:
    await queue.publish([job(key) for key in "abcd"])
    first, second, _ = await claim(queue, 3)
    await queue.exchange([Settlement(first, HandBack()), Settlement(second, HandBack())], 0)
    again = await claim(other, 3)
    assert keys(again) == (["a", "b", "d"] if harness.hands_back_in_front else ["d", "a", "b"])


@pytest.mark.needs("out_of_order_settlement")
async def test_deliveries_may_be_settled_in_any_order(queue: Queue) -> None:
    await queue.publish([job(str(n)) for n in range(10)])
    deliveries = list(await claim(queue))
    for delivery in [*deliveries[1::2], *reversed(deliveries[::2])]:
        assert not await settle(queue, delivery, Done())
    assert (await queue.depth()).leased == 0


async def test_a_batch_with_every_verdict_settles_each_by_its_own(
    queue: Queue, harness: Harness
) -> None:
    await queue.publish([job(key) for key in "abcdef"])
    verdicts = [Done(), Retry("r", 60.0), Snooze(60.0), HandBack(), Discard("d"), DeadLetter("x")]
    deliveries = await claim(queue)
    settled = [Settlement(d, v) for d, v in zip(deliveries, verdicts, strict=True)]
    answer = await queue.exchange(settled, 0)
    assert not answer.refused
    depth = await queue.depth()
    assert depth.leased == 0 or harness.sends_ahead
    assert (depth.ready + depth.leased, depth.delayed, depth.dead) == (1, 2, 1)


async def test_every_hand_out_has_a_token_of_its_own(queue: Queue, harness: Harness) -> None:
    await queue.publish([job("a")])
    tokens = set()
    for _ in range(3):
        delivery = await claim_one(queue)
        tokens.add(delivery.token)
        await settle(queue, delivery, HandBack())
    assert len(tokens) == 3


STALE = [Done(), Retry("late", 0.0), Snooze(0.0), HandBack(), Discard("late"), DeadLetter("late")]


@pytest.mark.needs("fence")
@pytest.mark.parametrize("verdict", STALE, ids=lambda verdict: type(verdict).__name__)
async def test_a_late_answer_is_refused_and_harmless(
    queue: Queue, other: Queue, harness: Harness, verdict: Verdict
) -> None:
    await queue.publish([job("a")])
    stale = await claim_one(queue)
    await harness.expire_leases()
    fresh = await claim_one(other)

    answer = await queue.exchange([Settlement(stale, verdict)], 5)

    assert list(answer.refused) == [stale.token]
    assert not answer.deliveries, "the job belongs to the other consumer"
    assert not await settle(other, fresh, Done())
    assert (await queue.depth()).dead == 0


@pytest.mark.needs("fence")
async def test_a_late_answer_settles_no_later_job_of_the_same_key(
    queue: Queue, other: Queue, harness: Harness
) -> None:
    await queue.publish([job("a")])
    stale = await claim_one(queue)
    await harness.expire_leases()
    assert not await settle(other, await claim_one(other), Done())
    await queue.publish([job("a")])
    later = await claim_one(other)
    assert await settle(queue, stale, Done()) == [stale.token]
    assert not await settle(other, later, Done())


async def test_a_settlement_is_accepted_once(queue: Queue) -> None:
    await queue.publish([job("a")])
    delivery = await claim_one(queue)
    assert not await settle(queue, delivery, Retry("again", 0.0))
    assert await settle(queue, delivery, Done()) == [delivery.token]
    assert keys(await claim(queue)) == ["a"]


@pytest.mark.needs("fence", "lease_per_message")
async def test_an_expired_lease_nobody_took_may_still_be_settled(
    queue: Queue, harness: Harness
) -> None:
    await queue.publish([job("a")])
    delivery = await claim_one(queue)
    await harness.expire_leases()
    assert not await settle(queue, delivery, Done())
    assert not await claim(queue)


@pytest.mark.needs("crash_count")
async def test_an_expired_lease_counts_a_crash_and_no_attempt(
    queue: Queue, other: Queue, harness: Harness
) -> None:
    await queue.publish([job("a"), job("b")])
    await claim(queue, 1)
    await harness.expire_leases()
    first, second = await claim(other, 2)
    assert (first.job.key, first.attempt, first.crashes) == ("a", 1, 1), "the oldest is in front"
    assert (second.job.key, second.crashes) == ("b", 0)


@pytest.mark.needs("crash_count")
async def test_a_job_that_crashes_too_often_becomes_a_dead_letter(
    queue: Queue, harness: Harness
) -> None:
    await queue.publish([job("killer")])
    for crashes in range(harness.settings.max_crashes):
        delivery = await claim_one(queue)
        assert delivery.crashes == crashes
        await harness.expire_leases()
    assert not await claim(queue)
    (dead,) = await harness.admin().dead_letters()
    assert (dead.key, dead.crashes) == ("killer", 3)
    assert "lease expired 3 times" in dead.reason


async def test_a_job_that_kills_every_worker_ends(queue: Queue, harness: Harness) -> None:
    await queue.publish([job("killer")])
    for _ in range(harness.settings.max_crashes):
        await claim_one(queue)
        await harness.expire_leases()
    assert not await claim(queue)
    await queue.exchange([], 0)
    (dead,) = await harness.admin().dead_letters()
    assert dead.key == "killer"


@pytest.mark.needs("deduplication")
async def test_a_crash_does_not_merge_with_a_twin_and_is_not_forgotten(
    queue: Queue, harness: Harness
) -> None:
    await queue.publish([job("killer", dedup="doc-1")])
    await claim_one(queue)
    await queue.publish([job("twin", dedup="doc-1")])
    await harness.expire_leases()
    assert [(d.job.key, d.crashes) for d in await claim(queue)] == [("killer", 1), ("twin", 0)]


@pytest.mark.needs("crash_count", "competing")
async def test_suspects_are_handed_out_one_at_a_time(
    queue: Queue, other: Queue, harness: Harness
) -> None:
    await queue.publish([job(str(n)) for n in range(4)])
    for _ in range(2):
        await claim(queue)
        await harness.expire_leases()
    await queue.publish([job("innocent")])

    mine = await claim(queue, 5)
    assert [each.crashes for each in mine] == [2, 0], "one suspect, and the innocent"
    assert not await claim(queue, 5), "while it runs, no other for this process"
    (theirs,) = await claim(other, 5)
    assert theirs.crashes == 2

    suspect = next(each for each in mine if each.crashes == 2)
    answer = await queue.exchange([Settlement(suspect, Done())], 5)
    assert [each.crashes for each in answer.deliveries] == [2], "the next one at once"


@pytest.mark.needs("crash_count", "competing")
async def test_neighbours_of_a_killer_survive(harness: Harness) -> None:
    setup = await harness.consumer()
    await setup.publish([job("killer"), *(job(str(n)) for n in range(5))])
    done: set[str] = set()
    while (await setup.depth()).ready + (await setup.depth()).leased:
        process = await harness.consumer()
        while deliveries := await claim(process, 6):
            if "killer" in keys(deliveries):
                break
            await process.exchange([Settlement(each, Done()) for each in deliveries], 0)
            done.update(keys(deliveries))
        await harness.expire_leases()
    assert done == {str(n) for n in range(5)}
    assert [each.key for each in await harness.admin().dead_letters()] == ["killer"]


@pytest.mark.needs("lease_per_message")
async def test_a_lease_has_the_length_that_was_set(harness: Harness) -> None:
    short = await harness.consumer(
        settings=QueueSettings(name=harness.settings.name, lease_seconds=0.2)
    )
    await short.publish([job("a")])
    first = await claim_one(short)
    due = (await short.exchange([], 5)).next_due_seconds
    if harness.knows_due:
        assert due is not None
        assert due <= 0.2
    while not (again := await claim(short)):
        await short.wait(1.0)
    assert again[0].crashes == first.crashes + 1
