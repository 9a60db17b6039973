"""A queue, or a job type, is held back and let go again."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from msgspec.structs import replace

from shared.jobs import Job, Priority
from shared.queue.port import Queue
from shared.verdicts import Done, HandBack, Retry
from tests.contracts.queue.harness import Harness, claim, claim_one, job, keys, settle


def other(key: str = "", **options: Priority) -> Job:
    """Return a job of another type."""
    return replace(job(key, **options), type="other")


@pytest.mark.needs("pause")
async def test_a_paused_queue_hands_out_nothing_and_takes_everything(
    queue: Queue, harness: Harness
) -> None:
    await queue.publish([job("a"), job("b")])
    running = await claim_one(queue)
    admin = harness.admin()
    await admin.pause()
    await queue.publish([job("c")])
    await harness.push(b'{"type": "job"}')

    assert not await claim(queue)
    assert not await settle(queue, running, Retry("again", 0.0)), "what runs goes on"
    assert not await claim(queue)
    depth = await queue.depth()
    assert depth.inbox + depth.ready + depth.delayed == 4

    await admin.resume()
    assert len(await claim(queue)) == 4


@pytest.mark.needs("pause")
async def test_a_pause_outlives_its_workers(harness: Harness) -> None:
    first = await harness.consumer()
    await first.publish([job("a")])
    await harness.admin().pause()
    await first.close()
    second = await harness.consumer()
    assert not await claim(second)
    assert await harness.admin().paused() == (True, [])
    await harness.admin().resume()
    assert await harness.admin().paused() == (False, [])
    assert keys(await claim(second)) == ["a"]


@pytest.mark.needs("pause")
async def test_a_paused_queue_is_not_due_and_a_resume_wakes(queue: Queue, harness: Harness) -> None:
    admin = harness.admin()
    await admin.pause()
    await queue.publish([job("a")])
    await harness.push(*[b'{"type": "job"}'] * 50)
    for _ in range(5):
        answer = await queue.exchange([], 10)
        assert answer.next_due_seconds != 0
        await queue.wait(0.05)
    waiting = asyncio.create_task(queue.wait(60))
    await admin.resume()
    async with asyncio.timeout(30):
        await waiting
    assert len(await claim(queue, 51)) == 51


@pytest.mark.needs("pause", "crash_count")
async def test_a_lease_that_expires_in_a_pause_is_counted_and_waits(
    queue: Queue, harness: Harness
) -> None:
    await queue.publish([job("a")])
    await claim(queue)
    await harness.admin().pause()
    await harness.expire_leases()
    assert not await claim(queue)
    depth = await queue.depth()
    assert depth.ready + depth.leased == 1
    assert depth.ready == 1 or not harness.knows_due
    await harness.admin().resume()
    assert (await claim_one(queue)).crashes == 1


@pytest.mark.needs("pause_type")
async def test_a_paused_type_lets_others_pass(queue: Queue, harness: Harness) -> None:
    await queue.publish([other("a"), job("b"), other("c"), job("d")])
    admin = harness.admin()
    await admin.pause("other")
    await queue.publish([other("e"), job("f")])
    assert await admin.paused() == (False, ["other"])
    claimed = await claim(queue, 3)
    assert keys(claimed) == ["b", "d", "f"]
    depth = await queue.depth()
    assert (depth.ready, depth.leased) == (3, 3), "what is held back is still counted"
    assert (await queue.exchange([], 10)).next_due_seconds != 0

    await admin.resume("other")
    assert await admin.paused() == (False, [])
    assert (await queue.depth()).ready == 3
    assert keys(await claim(queue)) == ["a", "c", "e"], "in their order"
    assert not await settle(queue, claimed[0], Done())


@pytest.mark.needs("pause_type")
async def test_thousands_of_a_paused_type_in_front_block_nobody(
    queue: Queue, harness: Harness
) -> None:
    many = [other(f"job-{n}") for n in range(5000)]
    await queue.publish([*many, job("last")])
    await harness.admin().pause("other")
    exchanges, found = 0, list[str]()
    while not found:
        found = keys((await queue.exchange([], 1)).deliveries)
        exchanges += 1
    assert found == ["last"]
    assert exchanges <= 10, "they are put aside in large slices, whatever is wanted"
    answer = await queue.exchange([], 10)
    assert answer.next_due_seconds != 0, "and not looked at again"
    assert (await queue.depth()).ready == 5000

    await harness.admin().resume("other")
    claimed = [key for _ in range(6) for key in keys(await claim(queue, 1000))]
    assert sorted(claimed) == sorted(each.key for each in many)


@pytest.mark.needs("pause_type", "priority")
async def test_what_was_held_back_returns_to_its_own_priority(
    queue: Queue, harness: Harness
) -> None:
    await queue.publish([other("low", priority=Priority.LOW), other("a")])
    admin = harness.admin()
    await admin.pause("other")
    assert not await claim(queue)
    await queue.publish([job("b"), job("high", priority=Priority.HIGH)])
    await admin.resume("other")
    assert keys(await claim(queue)) == ["high", "a", "b", "low"]


@pytest.mark.needs("pause_type")
async def test_messages_of_a_paused_type_are_held_back(queue: Queue, harness: Harness) -> None:
    await harness.push(
        b'{"id": "1", "Type": "other", "payload": {"type": "job"}}',
        b'{"id": "2", "type": "job"}',
        b"{",
        b'{"id": "3", "type": "other"}',
    )
    admin = harness.admin()
    await admin.pause("other")
    assert [each.job.id for each in await claim(queue)] == ["2"]
    await queue.exchange([], 0)
    depth = await queue.depth()
    assert (depth.inbox, depth.ready, depth.leased, depth.dead) == (0, 2, 1, 1)
    await admin.resume("other")
    again = await claim(queue)
    assert [each.job.id for each in again] == ["1", "3"]
    assert [each.attempt for each in again] == [1, 1]


@pytest.mark.needs("pause_type")
async def test_a_type_that_only_the_decoder_knows_is_held_back(harness: Harness) -> None:
    def seed(raw: bytes) -> Job:
        return Job(type="seed", payload=msgspec.json.encode(raw.decode()))

    queue = await harness.consumer(decoder=seed)
    admin = harness.admin()
    await admin.pause("seed")
    await harness.push(b"https://a.example/", b"https://b.example/")
    answer = await queue.exchange([], 10)
    while answer.next_due_seconds == 0:
        assert not answer.deliveries
        answer = await queue.exchange([], 10)
    depth = await queue.depth()
    assert (depth.ready, depth.leased) == (2, 0)
    await admin.resume("seed")
    again = await claim(queue)
    assert sorted(each.job.payload for each in again) == [
        b'"https://a.example/"',
        b'"https://b.example/"',
    ]
    assert [(each.attempt, each.crashes) for each in again] == [(1, 0), (1, 0)]


@pytest.mark.needs("pause_type")
async def test_what_is_handed_back_in_a_pause_waits_for_its_end(
    queue: Queue, harness: Harness
) -> None:
    await queue.publish([other("a")])
    running = await claim_one(queue)
    admin = harness.admin()
    await admin.pause("other")
    assert not await settle(queue, running, HandBack())
    assert not await claim(queue)
    await admin.resume("other")
    assert keys(await claim(queue)) == ["a"]


@pytest.mark.needs("pause_type", "cancel")
async def test_what_is_held_back_can_be_cancelled(queue: Queue, harness: Harness) -> None:
    await queue.publish([other("a"), other("b")])
    admin = harness.admin()
    await admin.pause("other")
    assert not await claim(queue)
    assert await admin.cancel(["a"]) == 1
    assert (await queue.depth()).ready == 1
    await admin.resume("other")
    assert keys(await claim(queue)) == ["b"]
    assert (await queue.depth()).ready == 0


@pytest.mark.needs("pause_type", "deduplication")
async def test_what_is_held_back_covers_its_deduplication_key(
    queue: Queue, harness: Harness
) -> None:
    await queue.publish([replace(other("a"), dedup_key="doc-1")])
    admin = harness.admin()
    await admin.pause("other")
    assert not await claim(queue)
    assert (await queue.publish([job("b", dedup="doc-1")])).duplicates == 1
    await admin.resume("other")
    assert keys(await claim(queue)) == ["a"]
    assert (await queue.publish([job("c", dedup="doc-1")])).accepted == 1


@pytest.mark.needs("pause", "pause_type")
async def test_a_queue_and_a_type_are_paused_apart(queue: Queue, harness: Harness) -> None:
    await queue.publish([other("a"), job("b")])
    admin = harness.admin()
    await admin.pause()
    await admin.pause("other")
    await admin.resume()
    assert keys(await claim(queue)) == ["b"]
    await admin.resume("other")
    await admin.pause("other")
    await admin.resume("other")
    assert keys(await claim(queue)) == ["a"]


@pytest.mark.needs("pause_type", "listing")
async def test_what_is_held_back_is_listed_as_ready(queue: Queue, harness: Harness) -> None:
    await queue.publish([other("a"), job("b")])
    admin = harness.admin()
    await admin.pause("other")
    assert keys(await claim(queue)) == ["b"]
    assert [each.key for each in await admin.jobs("ready")] == ["a"]
    found = await admin.job("a")
    assert found is not None
    assert found.state == "ready"


@pytest.mark.needs("pause_type")
async def test_two_types_that_are_resumed_come_back_together(
    queue: Queue, harness: Harness
) -> None:
    admin = harness.admin()
    await queue.publish([replace(job(name), type=name) for name in ("one", "two")])
    for name in ("one", "two"):
        await admin.pause(name)
    assert not await claim(queue)
    for name in ("one", "two"):
        await admin.resume(name)
    assert sorted(keys(await claim(queue))) == ["one", "two"]
