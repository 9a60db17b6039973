"""Listing what waits, runs and is dead, without touching it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from shared.jobs import Priority
from shared.queue.administration import STATES, JobRecord, QueueAdmin
from shared.queue.port import Queue
from shared.verdicts import DeadLetter, HandBack, Retry, Snooze
from tests.contracts.queue.harness import Harness, claim, claim_one, job, keys, settle

pytestmark = pytest.mark.needs("listing")


def names(records: Sequence[JobRecord]) -> list[str]:
    return [each.key for each in records]


async def test_each_state_lists_its_own_jobs_as_depth_counts_them(
    queue: Queue, harness: Harness
) -> None:
    await queue.publish([job("held")])
    held = await claim_one(queue)
    await queue.publish([job("dead")])
    await settle(queue, await claim_one(queue), DeadLetter("no"))
    await queue.publish([job("waits"), job("later", delay=harness.later)])
    await harness.push(b'{"id": "7", "type": "job"}')
    admin = harness.admin()

    found = {state: names(await admin.jobs(state)) for state in STATES}

    assert found == {
        "inbox": [""],
        "ready": ["waits"],
        "delayed": ["later"],
        "leased": ["held"],
        "dead": ["dead"],
    }
    depth = await admin.depth()
    assert {state: len(found[state]) for state in STATES} == {
        state: getattr(depth, state) for state in STATES
    }
    assert depth.inbox == (await queue.depth()).inbox
    assert not await settle(queue, held, HandBack()), "looking took nothing"


async def test_a_record_has_the_job_and_its_counts(queue: Queue, harness: Harness) -> None:
    sent = replace(job("a", payload=b'{"n": 1}'), id="7", headers=(("traceparent", "00-1"),))
    await queue.publish([sent])
    await settle(queue, await claim_one(queue), Retry("first", 0.0))
    await claim(queue, 1)
    await harness.expire_leases()
    await queue.exchange([], 0)
    admin = harness.admin()

    (record,) = await admin.jobs("ready")

    assert record.job == sent
    assert (record.attempts, record.crashes) == (1, 1)
    assert record.due_in_seconds is None
    assert await admin.job("a") == record


@pytest.mark.needs("priority")
async def test_ready_jobs_are_listed_as_they_will_be_handed_out(
    queue: Queue, harness: Harness
) -> None:
    await queue.publish([job("low", priority=Priority.LOW), job("b"), job("c")])
    await queue.publish([job("high", priority=Priority.HIGH)])
    listed = names(await harness.admin().jobs("ready"))
    assert listed == ["high", "b", "c", "low"]
    assert keys(await claim(queue)) == listed


async def test_pages_cover_everything_once(queue: Queue, harness: Harness) -> None:
    sent = [f"{n:04d}" for n in range(25)]
    await queue.publish([job(key) for key in sent])
    admin = harness.admin()
    pages = [names(await admin.jobs("ready", limit=10, offset=at)) for at in (0, 10, 20, 30)]
    assert [len(page) for page in pages] == [10, 10, 5, 0]
    assert [key for page in pages for key in page] == sent


async def test_messages_of_the_inbox_are_shown_oldest_first_without_a_key(
    queue: Queue, harness: Harness
) -> None:
    await harness.push(b'{"id": "1", "type": "job", "payload": {"n": 1}}', b"{", b"[]")
    admin = harness.admin()
    first, second = await admin.jobs("inbox", limit=2)
    assert first.job is not None
    assert (first.key, first.job.id, first.job.payload) == ("", "1", b'{"n": 1}')
    assert (second.job, second.raw) == (None, b"{")
    assert [each.raw for each in await admin.jobs("inbox", limit=2, offset=2)] == [b"[]"]


async def test_a_claimed_message_is_found_by_the_key_it_was_given(
    queue: Queue, harness: Harness
) -> None:
    await harness.push(b'{"id": "7", "type": "job"}')
    admin = harness.admin()
    delivery = await claim_one(queue)
    held = await admin.job(delivery.job.key)
    assert held is not None
    assert (held.state, held.job) == ("leased", delivery.job)
    assert not await admin.jobs("inbox")
    await settle(queue, delivery, Snooze(60.0))
    snoozed = await admin.job(delivery.job.key)
    assert snoozed is not None
    assert (snoozed.state, snoozed.job) == ("delayed", delivery.job)


async def test_a_job_is_found_in_whatever_state(queue: Queue, harness: Harness) -> None:
    admin = harness.admin()

    async def state() -> str:
        found = await admin.job("a")
        assert found is not None
        return found.state

    assert await admin.job("a") is None
    await queue.publish([job("a", delay=harness.later), job("a:0:0:0")])
    assert await state() == "delayed"
    await harness.ripen()
    await claim(queue)
    assert await state() == "leased"
    await harness.expire_leases()
    await queue.exchange([], 0)
    assert await state() == "ready"
    again = {each.job.key: each for each in await claim(queue)}["a"]
    await settle(queue, again, Snooze(harness.later))
    assert await state() == "delayed"
    await harness.ripen()
    await settle(queue, await claim_one(queue), DeadLetter("no"))
    assert await state() == "dead"


async def test_times_are_told_for_what_has_one(queue: Queue, harness: Harness) -> None:
    await queue.publish([job("later", delay=harness.later), job("held")])
    await claim_one(queue)
    admin: QueueAdmin = harness.admin()
    (later,) = await admin.jobs("delayed")
    (held,) = await admin.jobs("leased")
    assert later.due_in_seconds is not None
    assert held.due_in_seconds is not None
    assert 0 < later.due_in_seconds <= harness.later
    assert 0 < held.due_in_seconds <= harness.settings.lease_seconds


async def test_the_dead_are_listed_oldest_first_with_reason_and_time(
    queue: Queue, harness: Harness
) -> None:
    for key in ("b", "a"):
        await queue.publish([job(key)])
        await settle(queue, await claim_one(queue), DeadLetter(f"no {key}"))
    first, second = await harness.admin().jobs("dead")
    assert (first.key, first.reason, first.attempts) == ("b", "no b", 1)
    assert second.died_at >= first.died_at > 1_000_000_000
    assert names(await harness.admin().jobs("dead", limit=1, offset=1)) == ["a"]
