"""Deduplication beyond the time that a job waits: windows, and replacing the one that waits."""

from __future__ import annotations

import pytest

from shared.jobs import Priority
from shared.queue.port import Published, Queue
from shared.verdicts import DeadLetter, Done, Retry
from tests.contracts.queue.harness import Harness, claim, claim_one, job, keys, settle

DROPPED, TAKEN = Published(0, 1), Published(1, 0)


@pytest.mark.needs("dedup_window")
async def test_a_window_drops_twins_also_while_the_job_runs_and_after(
    queue: Queue, harness: Harness
) -> None:
    assert await queue.publish([job("a", dedup="doc-1", window=60.0)]) == TAKEN
    assert await queue.publish([job("b", dedup="doc-1")]) == DROPPED, "a waits"
    running = await claim_one(queue)
    assert await queue.publish([job("c", dedup="doc-1")]) == DROPPED, "a runs"
    await settle(queue, running, Done())
    assert await queue.publish([job("d", dedup="doc-1")]) == DROPPED, "a has run"
    assert await queue.publish([job("e", dedup="doc-2")]) == TAKEN
    assert keys(await claim(queue)) == ["e"]


@pytest.mark.needs("dedup_window")
async def test_after_its_window_a_twin_is_taken_and_opens_its_own(
    queue: Queue, harness: Harness
) -> None:
    await queue.publish([job("a", dedup="doc-1", window=60.0)])
    await settle(queue, await claim_one(queue), Done())
    await harness.end_windows()
    assert await queue.publish([job("b", dedup="doc-1", window=60.0)]) == TAKEN
    await settle(queue, await claim_one(queue), Done())
    assert await queue.publish([job("c", dedup="doc-1", window=60.0)]) == DROPPED


@pytest.mark.needs("dedup_window")
async def test_a_job_that_a_window_dropped_leaves_nothing_behind(
    queue: Queue, harness: Harness
) -> None:
    await queue.publish([job("a", dedup="doc-1", window=60.0)])
    await settle(queue, await claim_one(queue), Done())
    assert await queue.publish([job("b", dedup="doc-1")]) == DROPPED
    await harness.end_windows()
    assert await queue.publish([job("b", dedup="doc-1")]) == TAKEN
    assert keys(await claim(queue)) == ["b"]


@pytest.mark.needs("dedup_window")
async def test_a_shorter_window_does_not_end_a_longer_one(queue: Queue, harness: Harness) -> None:
    await queue.publish([job("a", dedup="doc-1", window=60.0, delay=60.0)])
    assert await queue.publish([job("b", dedup="doc-1", window=0.001)]) == TAKEN, "due earlier"
    await settle(queue, await claim_one(queue), Done())
    assert await queue.publish([job("c", dedup="doc-1")]) == DROPPED


@pytest.mark.needs("dedup_window")
async def test_what_comes_back_is_no_publish(queue: Queue, harness: Harness) -> None:
    await queue.publish([job("a", dedup="doc-1", window=60.0)])
    await settle(queue, await claim_one(queue), Retry("again", 60.0))
    await harness.ripen()
    await settle(queue, await claim_one(queue), DeadLetter("no"))
    assert await harness.admin().replay(["a"]) == 1
    assert keys(await claim(queue)) == ["a"]


@pytest.mark.needs("replace")
@pytest.mark.parametrize("first", [0.0, 60.0], ids=["ready", "delayed"])
@pytest.mark.parametrize("second", [0.0, 90.0], ids=["to ready", "to delayed"])
async def test_a_replacing_job_takes_the_place_of_the_one_that_waits(
    queue: Queue, harness: Harness, first: float, second: float
) -> None:
    await queue.publish([job("a", dedup="doc-1", delay=first), job("other")])
    assert (
        await queue.publish(
            [job("b", dedup="doc-1", delay=second, replace=True, payload=b'{"n": 2}')]
        )
        == TAKEN
    )
    depth = await queue.depth()
    assert depth.ready + depth.delayed == 2
    assert depth.delayed == (1 if second else 0)
    found = list(await claim(queue))
    await harness.ripen()
    found += await claim(queue)
    assert sorted(keys(found)) == ["b", "other"]
    assert next(each.job.payload for each in found if each.job.key == "b") == b'{"n": 2}'
    assert await queue.publish([job("a", dedup="doc-1")]) == TAKEN, "a has gone"


@pytest.mark.needs("replace")
async def test_many_replaced_jobs_leave_one(queue: Queue, harness: Harness) -> None:
    for at in range(0, 3000, 1000):
        await queue.publish(
            [job(str(n), dedup="doc-1", replace=True) for n in range(at, at + 1000)]
        )
    await queue.publish([job("other")])
    depth = await queue.depth()
    assert depth.ready == 2
    assert depth.oldest_ready_age_seconds is not None, "the head of the list is a job"
    assert keys(await claim(queue, 2)) == ["2999", "other"]
    assert (await queue.depth()).ready == 0
    assert (await queue.exchange([], 1)).next_due_seconds != 0


@pytest.mark.needs("replace")
async def test_many_replaced_jobs_do_not_hide_the_one_behind_them(queue: Queue) -> None:
    await queue.publish([job(str(n), dedup="doc-1", replace=True) for n in range(500)])
    assert keys(await claim(queue, 1)) == ["499"]


@pytest.mark.needs("replace")
async def test_a_replaced_key_may_come_again(queue: Queue, harness: Harness) -> None:
    await queue.publish([job("a", dedup="doc-1")])
    await queue.publish([job("b", dedup="doc-1", replace=True)])
    await queue.publish([job("a", dedup="doc-1", replace=True)])
    (delivery,) = await claim(queue)
    assert delivery.job.key == "a"
    assert not await claim(queue), "handed out once"
    assert not await settle(queue, delivery, Done())
    assert (await queue.depth()).ready == 0


@pytest.mark.needs("replace")
async def test_keys_that_replace_each_other_in_one_call_leave_one(queue: Queue) -> None:
    await queue.publish([job(key, dedup="doc-1", replace=True) for key in "abababa"])
    (delivery,) = await claim(queue)
    assert delivery.job.key == "a"
    assert not await settle(queue, delivery, Done())
    await queue.publish([job("b")])
    assert keys(await claim(queue)) == ["b"]
    assert (await queue.depth()).ready == 0


@pytest.mark.needs("replace")
async def test_no_token_of_a_replaced_job_is_good_for_the_one_that_takes_its_key(
    queue: Queue, harness: Harness
) -> None:
    await queue.publish([job("a", dedup="doc-1")])
    old = await claim_one(queue)
    await settle(queue, old, Retry("once more", harness.later))
    await queue.publish([job("b", dedup="doc-1", replace=True)])
    await queue.publish([job("a", dedup="doc-1", replace=True)])
    new = await claim_one(queue)
    assert (new.job.key, new.token == old.token) == ("a", False)
    assert await settle(queue, old, Done()) == [old.token]


@pytest.mark.needs("replace")
async def test_a_running_job_is_not_replaced(queue: Queue, harness: Harness) -> None:
    await queue.publish([job("a", dedup="doc-1")])
    running = await claim_one(queue)
    assert await queue.publish([job("b", dedup="doc-1", replace=True)]) == TAKEN
    assert not await settle(queue, running, Done()), "a was not disturbed"
    assert keys(await claim(queue)) == ["b"]


@pytest.mark.needs("replace", "priority")
async def test_the_replacing_job_has_its_own_priority(queue: Queue) -> None:
    await queue.publish([job("a", dedup="doc-1", priority=Priority.LOW), job("other")])
    await queue.publish([job("b", dedup="doc-1", priority=Priority.HIGH, replace=True)])
    assert keys(await claim(queue)) == ["b", "other"]


@pytest.mark.needs("replace", "crash_count")
async def test_a_job_that_crashed_waits_on_beside_the_one_that_would_replace_it(
    queue: Queue, harness: Harness
) -> None:
    await queue.publish([job("killer", dedup="doc-1")])
    await claim_one(queue)
    await harness.expire_leases()
    await queue.exchange([], 0)
    assert await queue.publish([job("fresh", dedup="doc-1", replace=True)]) == TAKEN
    assert keys(await claim(queue)) == ["killer", "fresh"]


@pytest.mark.needs("replace", "dedup_window")
async def test_a_window_does_not_keep_a_waiting_job_from_being_replaced(queue: Queue) -> None:
    await queue.publish([job("a", dedup="doc-1", window=60.0)])
    assert await queue.publish([job("b", dedup="doc-1", replace=True)]) == TAKEN
    await settle(queue, await claim_one(queue), Done())
    assert await queue.publish([job("c", dedup="doc-1", replace=True)]) == DROPPED, "none waits"
