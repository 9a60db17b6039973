"""Dead letters: reason, listing, replay, purge."""

from __future__ import annotations

from shared.queue.port import Queue
from shared.verdicts import DeadLetter, Done, Retry
from tests.contracts.queue.harness import Harness, claim, claim_one, job, keys, settle


async def test_a_dead_letter_keeps_its_reason_and_its_job(queue: Queue, harness: Harness) -> None:
    dedup = "doc-1" if queue.capabilities.deduplication else ""
    sent = job("a", payload=b'{"n": 1}', dedup=dedup)
    await queue.publish([sent])
    await settle(queue, await claim_one(queue), Retry("first", 0.0))
    await settle(queue, await claim_one(queue), DeadLetter("Größe: 3:4:5 unbekannt"))

    (dead,) = await harness.admin().dead_letters()

    assert (dead.key, dead.reason) == ("a", "Größe: 3:4:5 unbekannt")
    assert (dead.attempts, dead.crashes) == (2, 0)
    assert dead.job == sent
    assert dead.died_at > 1_000_000_000
    assert not await claim(queue), "it is not tried again"


async def test_dead_letters_are_listed_oldest_first_in_pages(
    queue: Queue, harness: Harness
) -> None:
    for key in "abcd":
        await queue.publish([job(key)])
        await settle(queue, await claim_one(queue), DeadLetter("no"))
    admin = harness.admin()
    assert [each.key for each in await admin.dead_letters(limit=3)] == ["a", "b", "c"]
    assert [each.key for each in await admin.dead_letters(limit=3, offset=3)] == ["d"]


async def test_a_replayed_job_runs_again_with_fresh_counts(queue: Queue, harness: Harness) -> None:
    await queue.publish([job("a", payload=b'{"n": 1}')])
    await settle(queue, await claim_one(queue), Retry("first", 0.0))
    dead = await claim_one(queue)
    await settle(queue, dead, DeadLetter("no"))
    admin = harness.admin()

    assert await admin.replay(["a", "unknown"]) == 1

    assert not await admin.dead_letters()
    again = await claim_one(queue)
    assert (again.job.payload, again.attempt, again.crashes) == (b'{"n": 1}', 1, 0)
    assert again.token != dead.token
    assert not await settle(queue, again, Done())


async def test_a_replayed_job_is_safe_from_answers_of_its_earlier_life(
    queue: Queue, harness: Harness
) -> None:
    await queue.publish([job("a")])
    stale = await claim_one(queue)
    await harness.expire_leases()
    for _ in range(2):
        await claim(queue)
        await harness.expire_leases()
    await claim(queue)
    await harness.admin().replay(["a"])
    again = await claim_one(queue)
    refused = await settle(queue, stale, Done())
    assert refused == [stale.token] or not queue.capabilities.fence
    assert (await queue.depth()).leased == 1, "the new life goes on"
    assert not await settle(queue, again, Done())


async def test_purged_letters_are_gone(queue: Queue, harness: Harness) -> None:
    await queue.publish([job("a"), job("b")])
    for delivery in await claim(queue):
        await settle(queue, delivery, DeadLetter("no"))
    admin = harness.admin()
    assert await admin.purge(["a", "unknown"]) == 1
    assert [each.key for each in await admin.dead_letters()] == ["b"]
    assert await admin.replay(["a"]) == 0
    assert (await queue.depth()).dead == 1


async def test_a_job_of_the_inbox_can_be_replayed(queue: Queue, harness: Harness) -> None:
    await harness.push(b'{"id": "7", "type": "job", "payload": {"n": 1}}')
    delivery = await claim_one(queue)
    await settle(queue, delivery, DeadLetter("no"))
    admin = harness.admin()
    (dead,) = await admin.dead_letters()
    assert dead.job is not None
    assert (dead.job.id, dead.job.payload) == ("7", b'{"n": 1}')
    await admin.replay([dead.key])
    assert keys(await claim(queue)) == [delivery.job.key]
