"""Lanes: caps and rates per key, held by all workers together, fair between lanes."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from shared.errors import ConfigError
from shared.jobs import Delivery, Job, Priority
from shared.queue.port import LaneLimits, Queue
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

pytestmark = pytest.mark.needs("lanes")

ONE = LaneLimits(max_running=1)
TWO = LaneLimits(max_running=2)
PROMPT = 30.0
"""Seconds, on a busy machine; a wake-up that was missed would show after a minute."""


async def worker(harness: Harness, **limits: LaneLimits) -> Queue:
    """Return a worker with these limits; `rest` stands for every lane that is not named."""
    named = {"*" if lane == "rest" else lane: each for lane, each in limits.items()}
    queue = await harness.consumer(settings=replace(harness.settings, lane_limits=named))
    await queue.exchange([], 0)
    return queue


def laned(lane: str, count: int = 1, **options: object) -> list[Job]:
    return [job(f"{lane}{n}", lane=lane, **options) for n in range(count)]  # type: ignore[arg-type]


def lanes(deliveries: Sequence[Delivery]) -> Counter[str]:
    return Counter(each.job.lane for each in deliveries)


async def test_no_more_jobs_of_a_lane_run_than_its_cap_on_all_workers(harness: Harness) -> None:
    first, second = await worker(harness, a=TWO), await worker(harness, a=TWO)
    await first.publish([*laned("a", 5), job("free")])
    mine = await claim(first, 1) + await claim(first, 1) + await claim(first, 10)
    assert sorted(keys(mine)) == ["a0", "a1", "free"]
    assert not await claim(second)
    await settle(first, mine[[each.job.key for each in mine].index("a1")], Done())
    assert keys(await claim(second)) == ["a2"]


async def test_a_lane_is_freed_and_used_in_one_exchange(harness: Harness) -> None:
    queue = await worker(harness, a=ONE)
    await queue.publish(laned("a", 3))
    held = await claim_one(queue)
    answer = await queue.exchange([Settlement(held, Done())], 5)
    assert keys(answer.deliveries) == ["a1"]


@pytest.mark.parametrize(
    "verdict",
    [Done(), Discard("d"), DeadLetter("x"), Retry("r", 60.0), Snooze(60.0), HandBack()],
    ids=lambda verdict: type(verdict).__name__,
)
async def test_every_verdict_frees_the_lane(harness: Harness, verdict: Verdict) -> None:
    queue = await worker(harness, a=ONE)
    await queue.publish(laned("a", 2))
    await settle(queue, await claim_one(queue), verdict)
    expected = "a0" if isinstance(verdict, HandBack) else "a1"
    assert keys(await claim(queue)) == [expected]


async def test_an_expired_lease_frees_the_lane_and_a_late_answer_does_not(
    harness: Harness,
) -> None:
    queue, other = await worker(harness, a=ONE), await worker(harness, a=ONE)
    await queue.publish(laned("a", 3))
    stale = await claim_one(queue)
    await harness.expire_leases()
    again = await claim(other)
    assert [(each.job.key, each.crashes) for each in again] == [("a0", 1)], "it is the oldest"
    assert await settle(queue, stale, Done()) == [stale.token]
    assert not await claim(queue), "the lane is still full"


async def test_what_comes_back_waits_for_its_lane(harness: Harness) -> None:
    queue = await worker(harness, a=ONE)
    await queue.publish(laned("a", 2, delay=60.0))
    await harness.ripen()
    first = await claim(queue)
    assert len(first) == 1, "a delayed job that became due"
    await settle(queue, first[0], DeadLetter("x"))
    (second,) = await claim(queue)
    await harness.admin().replay([first[0].job.key])
    assert not await claim(queue), "a dead letter that was replayed"
    await settle(queue, second, Retry("r", 60.0))
    (replayed,) = await claim(queue)
    await harness.ripen()
    assert not await claim(queue), "a retry that became due"
    await settle(queue, replayed, Done())
    assert keys(await claim(queue)) == [second.job.key]


async def test_every_lane_has_the_limits_of_the_star_unless_it_is_named(harness: Harness) -> None:
    queue = await worker(harness, a=TWO, rest=ONE)
    await queue.publish([*laned("a", 5), *laned("b", 5), *laned("c", 5), job("free")])
    assert lanes(await claim(queue, 20)) == {"a": 2, "b": 1, "c": 1, "": 1}


@pytest.mark.parametrize(
    "limits", [LaneLimits(max_running=50), LaneLimits(per_second=100.0, burst=50)]
)
async def test_lanes_take_turns(harness: Harness, limits: LaneLimits) -> None:
    queue = await worker(harness, rest=limits)
    await queue.publish([*laned("a", 50), *laned("b", 5), *laned("c", 5)])
    assert lanes(await claim(queue, 6)) == {"a": 2, "b": 2, "c": 2}
    one_by_one = [await claim_one(queue) for _ in range(6)]
    assert lanes(one_by_one) == {"a": 2, "b": 2, "c": 2}
    assert lanes(await claim(queue, 10)) == {"a": 8, "b": 1, "c": 1}, "what one leaves, others get"


async def test_jobs_of_a_lane_come_in_the_order_of_publishing(harness: Harness) -> None:
    queue = await worker(harness, a=LaneLimits(max_running=100))
    await queue.publish(laned("a", 30))
    assert keys(await claim(queue, 10) + await claim(queue, 20)) == [f"a{n}" for n in range(30)]


@pytest.mark.parametrize("want", [1, 4])
async def test_neither_lanes_nor_the_inbox_nor_the_rest_starve(harness: Harness, want: int) -> None:
    queue = await worker(harness, rest=LaneLimits(max_running=1000))
    await queue.publish([*laned("a", 100), *(job(f"free{n}") for n in range(100))])
    await harness.push(*[b'{"type":"pushed"}'] * 100)
    claimed = [each for _ in range(40 // want) for each in await claim(queue, want)]
    kinds = Counter(each.job.lane or each.job.type for each in claimed)
    assert set(kinds) == {"a", "pushed", "job"}
    assert min(kinds.values()) >= 8


async def test_a_full_lane_with_many_jobs_hides_nobody(harness: Harness) -> None:
    queue = await worker(harness, a=ONE)
    await queue.publish(laned("a", 3000))
    await queue.publish([job("free")])
    assert len(await claim(queue, 10)) == 2
    depth = await queue.depth()
    assert (depth.ready, depth.leased) == (2999, 2)
    assert (await queue.exchange([], 10)).next_due_seconds != 0


async def test_jobs_held_back_by_their_lane_have_no_part_in_the_age(harness: Harness) -> None:
    queue = await worker(harness, a=ONE)
    await queue.publish(laned("a", 2))
    assert (await queue.depth()).oldest_ready_age_seconds is not None
    await claim_one(queue)
    assert (await queue.depth()).oldest_ready_age_seconds is None


async def test_a_burst_may_start_at_once_and_the_rest_evenly_spaced(harness: Harness) -> None:
    queue = await worker(harness, a=LaneLimits(per_second=0.1, burst=3))
    await queue.publish(laned("a", 7))
    assert len(await claim(queue, 10)) == 3
    due = (await queue.exchange([], 10)).next_due_seconds
    assert due is not None
    assert 5 < due <= 10
    await harness.rest_lanes()
    assert len(await claim(queue, 10)) == 3


async def test_a_rate_is_kept_by_all_workers_together(harness: Harness) -> None:
    limits = LaneLimits(per_second=20.0)
    workers = [await worker(harness, a=limits) for _ in range(2)]
    await workers[0].publish(laned("a", 7))
    started = time.monotonic()
    claimed = 0
    while claimed < 7:
        for each in workers:
            claimed += len(await claim(each))
        await workers[0].wait(0.05)
    assert time.monotonic() - started >= 6 / 20


async def test_an_empty_lane_keeps_its_rate(harness: Harness) -> None:
    queue = await worker(harness, a=LaneLimits(per_second=0.01))
    await queue.publish(laned("a", 1))
    await settle(queue, await claim_one(queue), Done())
    await queue.publish(laned("a", 1))
    assert not await claim(queue)


async def test_a_lane_without_limits_is_like_no_lane(harness: Harness) -> None:
    queue = await worker(harness, a=LaneLimits(), rest=ONE)
    await queue.publish(
        [
            job("low", lane="a", priority=Priority.LOW),
            job("first", lane="a"),
            job("free"),
            job("high", lane="a", priority=Priority.HIGH),
        ]
    )
    assert keys(await claim(queue)) == ["high", "first", "free", "low"]


async def test_limits_hold_for_jobs_published_before_anybody_knew_them(harness: Harness) -> None:
    producer = harness.queue(harness.settings)
    await producer.publish([*laned("a", 1500), job("free"), *laned("b", 2)])
    await producer.close()
    queue = await worker(harness, a=ONE)
    claimed = list(await claim(queue, 10))
    claimed += await claim(queue, 10)
    assert lanes(claimed) == {"a": 1, "": 1, "b": 2}
    assert "a0" in keys(claimed)


async def test_jobs_that_wait_in_a_lane_run_when_its_limits_are_gone(harness: Harness) -> None:
    queue = await worker(harness, a=ONE)
    await queue.publish(laned("a", 4))
    held = await claim_one(queue)
    free = await worker(harness)
    assert keys(await claim(free)) == ["a1", "a2", "a3"]
    assert not await settle(queue, held, Done())


async def test_a_job_in_a_lane_can_be_a_duplicate_or_be_replaced(harness: Harness) -> None:
    queue = await worker(harness, a=ONE)
    await queue.publish([*laned("a", 1), job("old", lane="a", dedup="doc-1")])
    assert (await queue.publish([job("twin", lane="a", dedup="doc-1")])).duplicates == 1
    await queue.publish([job("new", lane="a", dedup="doc-1", replace=True)])
    assert (await queue.depth()).ready == 2
    first = await claim_one(queue)
    answer = await queue.exchange([Settlement(first, Done())], 5)
    assert keys([first, *answer.deliveries]) == ["a0", "new"]
    assert (await queue.depth()).ready == 0


async def test_a_worker_runs_one_suspect_at_a_time_also_in_lanes(harness: Harness) -> None:
    limits = LaneLimits(max_running=10)
    queue, other = await worker(harness, a=limits, b=limits), await worker(harness, a=limits)
    await queue.publish([*laned("a", 2), *laned("b", 1)])
    for _ in range(2):
        assert len(await claim(queue)) == 3
        await harness.expire_leases()
        await queue.exchange([], 0)
    await queue.publish([job("free"), job("later", lane="c")])
    mine = await claim(queue)
    assert sorted(each.crashes for each in mine) == [0, 0, 2], "one suspect, and the innocent"
    assert (await queue.exchange([], 10)).next_due_seconds != 0, "nothing more for this worker"
    theirs = await claim(other)
    assert [each.crashes for each in theirs] == [2]
    suspect = next(each for each in mine if each.crashes == 2)
    answer = await queue.exchange([Settlement(suspect, Done())], 10)
    assert [each.crashes for each in answer.deliveries] == [2], "the last one at once"


async def test_a_lane_that_waits_for_another_suspect_holds_up_no_other_lane(
    harness: Harness,
) -> None:
    limits = LaneLimits(max_running=10)
    queue = await worker(harness, a=limits, b=limits, c=limits)
    await queue.publish([*laned("a", 1), *laned("b", 1)])
    for _ in range(2):
        assert len(await claim(queue)) == 2
        await harness.expire_leases()
        await queue.exchange([], 0)
    assert len(await claim(queue)) == 1, "one suspect; the other's lane has not had a turn since"
    await queue.publish(laned("c", 2))
    assert keys(await claim(queue, 1)) == ["c0"]
    assert keys(await claim(queue, 1)) == ["c1"], "the suspect's lane is before, and passed by"


@pytest.mark.needs("cancel")
async def test_a_cancelled_job_frees_its_lane(harness: Harness) -> None:
    queue = await worker(harness, a=ONE)
    await queue.publish(laned("a", 3))
    await claim_one(queue)
    assert await harness.admin().cancel(["a0", "a1"]) == 2, "one runs, one waits"
    assert keys(await claim(queue)) == ["a2"]
    assert (await queue.depth()).ready == 0


@pytest.mark.needs("pause_type")
async def test_a_paused_type_waits_and_then_goes_to_its_lane(harness: Harness) -> None:
    queue, admin = await worker(harness, a=ONE), harness.admin()
    await queue.publish([replace(laned("a")[0], type="other"), *laned("b", 1), job("a1", lane="a")])
    await admin.pause("other")
    first = await claim(queue)
    assert sorted(keys(first)) == ["a1", "b0"], "a paused job takes no place of its lane"
    await admin.resume("other")
    assert not await claim(queue), "the lane is full"
    answer = await queue.exchange([Settlement(each, Done()) for each in first], 5)
    assert keys(answer.deliveries) == ["a0"]


@pytest.mark.needs("pause")
async def test_a_paused_queue_has_no_lane_that_is_due(harness: Harness) -> None:
    queue, admin = await worker(harness, a=ONE), harness.admin()
    await queue.publish(laned("a", 2))
    await admin.pause()
    answer = await queue.exchange([], 5)
    assert (answer.deliveries, answer.next_due_seconds) == ([], None)
    await admin.resume()
    assert keys(await claim(queue)) == ["a0"]


@pytest.mark.needs("listing")
async def test_a_job_in_a_lane_is_found_with_its_counts(harness: Harness) -> None:
    queue = await worker(harness, a=ONE)
    await queue.publish(laned("a", 2))
    await settle(queue, await claim_one(queue), Retry("r", 0.0))
    await claim_one(queue)
    await harness.ripen()
    await queue.exchange([], 0)
    found = await harness.admin().job("a0")
    assert found is not None
    assert (found.state, found.attempts) == ("ready", 1)


@pytest.mark.needs("listing")
async def test_jobs_in_lanes_are_listed(harness: Harness) -> None:
    queue, admin = await worker(harness, a=ONE), harness.admin()
    await queue.publish([*laned("a", 2), job("free"), job("low", priority=Priority.LOW)])
    listed = [each.key for each in await admin.jobs("ready")]
    assert listed == ["a0", "a1", "free", "low"]
    found = await admin.job("a1")
    assert found is not None
    assert (found.state, found.job) == ("ready", laned("a", 2)[1])


async def _claim_when_there_is(queue: Queue) -> str:
    while not (deliveries := await claim(queue, 1)):
        await queue.wait(60.0)
    return deliveries[0].job.key


@pytest.fixture
def _no_looking(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the idle look, nothing but wake-ups ends a wait."""
    monkeypatch.setattr("shared.queue.redis.queue.IDLE_LOOK_SECONDS", 60.0)
    monkeypatch.setattr("shared.queue.memory.queue.IDLE_LOOK_SECONDS", 60.0)


@pytest.mark.usefixtures("_no_looking")
async def test_a_lane_that_is_freed_wakes_another_worker(harness: Harness) -> None:
    queue, other = await worker(harness, a=ONE), await worker(harness, a=ONE)
    await queue.publish(laned("a", 2))
    held = await claim_one(queue)
    task = asyncio.create_task(_claim_when_there_is(other))
    await asyncio.wait([task], timeout=0.1)
    assert not task.done()
    await settle(queue, held, Done())
    async with asyncio.timeout(PROMPT):
        assert await task == "a1"


@pytest.mark.usefixtures("_no_looking")
async def test_a_wait_ends_when_the_rate_allows_the_next_start(harness: Harness) -> None:
    queue = await worker(harness, a=LaneLimits(per_second=4.0))
    await queue.publish(laned("a", 3))
    async with asyncio.timeout(PROMPT):
        assert [await _claim_when_there_is(queue) for _ in range(3)] == ["a0", "a1", "a2"]


@pytest.mark.parametrize(
    "wrong", [{"max_running": -1}, {"per_second": -0.5}, {"per_second": 1.0, "burst": 0}]
)
def test_limits_that_mean_nothing_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="lane_limits"):
        LaneLimits(**wrong)  # type: ignore[arg-type]
