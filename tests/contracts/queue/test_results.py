"""Progress and results of jobs, for whoever published them."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace

from shared.jobs import Job
from shared.queue.port import JobOutcome, Queue, QueueSettings
from shared.verdicts import DeadLetter, Discard, Done, Retry
from tests.contracts.queue.harness import Harness, claim_one, job, settle

pytestmark = pytest.mark.needs("results")

PROMPT = 30.0
"""Seconds, on a busy machine."""


async def test_the_result_of_done_is_kept(queue: Queue, harness: Harness) -> None:
    results = harness.results()
    await queue.publish([job("a", keep=60.0)])
    delivery = await claim_one(queue)
    assert delivery.job.keep_result_seconds == 60.0
    assert await results.outcome("a") is None
    assert not await settle(queue, delivery, Done({"pages": [1, 2], "text": "Größe"}))
    found = await results.outcome("a")
    assert found == JobOutcome(state="done", result={"pages": [1, 2], "text": "Größe"})
    assert (await queue.depth()).leased == 0


async def test_a_job_that_keeps_nothing_leaves_nothing(queue: Queue, harness: Harness) -> None:
    results = harness.results()
    await queue.publish([job("a")])
    delivery = await claim_one(queue)
    await results.report(delivery, 1)
    await settle(queue, delivery, Done("a result"))
    assert await results.outcome("a") is None


async def test_a_discarded_and_a_dead_job_tell_why(queue: Queue, harness: Harness) -> None:
    results = harness.results()
    await queue.publish([job("a", keep=60.0), job("b", keep=60.0)])
    await settle(queue, await claim_one(queue), Discard("superseded"))
    await settle(queue, await claim_one(queue), DeadLetter("no such host"))
    assert await results.outcome("a") == JobOutcome(state="discarded", error="superseded")
    assert await results.outcome("b") == JobOutcome(state="dead", error="no such host")


@pytest.mark.needs("crash_count")
async def test_a_job_that_died_of_its_crashes_is_told_of(harness: Harness) -> None:
    queue = await harness.consumer(settings=replace(harness.settings, max_crashes=1))
    await queue.publish([job("a", keep=60.0)])
    await claim_one(queue)
    await harness.expire_leases()
    await queue.exchange([], 0)
    found = await harness.results().outcome("a")
    assert found is not None
    assert found.state == "dead"
    assert "lease expired" in found.error


async def test_progress_is_what_was_reported_last_and_stays(queue: Queue, harness: Harness) -> None:
    results = harness.results()
    await queue.publish([job("a", keep=60.0)])
    delivery = await claim_one(queue)
    await results.report(delivery, {"done": 1})
    await results.report(delivery, {"done": 2})
    assert await results.outcome("a") == JobOutcome(state="running", progress={"done": 2})
    await settle(queue, delivery, Done(7))
    assert await results.outcome("a") == JobOutcome(state="done", progress={"done": 2}, result=7)


@pytest.mark.needs("fence")
async def test_a_late_report_or_settlement_changes_nothing(queue: Queue, harness: Harness) -> None:
    results = harness.results()
    await queue.publish([job("a", keep=60.0)])
    stale = await claim_one(queue)
    await harness.expire_leases()
    fresh = await claim_one(queue)
    await settle(queue, fresh, Done("fresh"))
    await results.report(stale, "late")
    assert await settle(queue, stale, Done("late")) == [stale.token]
    assert await results.outcome("a") == JobOutcome(state="done", result="fresh")


async def test_a_result_that_is_no_json_does_not_undo_the_job(
    queue: Queue, harness: Harness
) -> None:
    await queue.publish([job("a", keep=60.0), job("b", keep=60.0)])
    assert not await settle(queue, await claim_one(queue), Done(object()))
    found = await harness.results().outcome("a")
    assert found is not None
    assert (found.state, found.result) == ("done", None)
    assert "cannot be written as JSON" in found.error


async def test_a_result_expires(queue: Queue, harness: Harness) -> None:
    results = harness.results()
    await queue.publish([job("a", keep=1.0)])
    await settle(queue, await claim_one(queue), Done(1))
    assert await results.outcome("a") is not None
    async with asyncio.timeout(30):
        while await results.outcome("a") is not None:
            await asyncio.sleep(0.02)


async def test_a_new_life_of_a_job_has_no_old_result(queue: Queue, harness: Harness) -> None:
    results = harness.results()
    await queue.publish([job("a", keep=60.0), job("b", keep=60.0)])
    await settle(queue, await claim_one(queue), DeadLetter("x"))
    await settle(queue, await claim_one(queue), Done(1))
    await harness.admin().replay(["a"])
    await queue.publish([job("b", keep=60.0)])
    assert await results.outcome("a") is None
    assert await results.outcome("b") is None
    assert await results.wait("a", 0.05) is None
    assert await results.wait("b", 0.05) is None


@pytest.mark.needs("replace", "cancel")
async def test_jobs_that_never_run_have_an_outcome(queue: Queue, harness: Harness) -> None:
    results = harness.results()
    await queue.publish([job("a", dedup="doc-1", keep=60.0), job("b", keep=60.0)])
    await queue.publish([job("c", dedup="doc-1", replace=True)])
    await harness.admin().cancel(["b"])
    replaced, cancelled = await results.outcome("a"), await results.outcome("b")
    assert replaced == JobOutcome(state="discarded", error="a twin replaced it")
    assert cancelled == JobOutcome(state="discarded", error="cancelled")


async def test_a_job_that_merges_with_its_twin_has_an_outcome(
    queue: Queue, harness: Harness
) -> None:
    await queue.publish([job("a", dedup="doc-1", keep=60.0)])
    first = await claim_one(queue)
    await queue.publish([job("b", dedup="doc-1", keep=60.0)])
    await settle(queue, first, Retry("again", 60.0))
    assert (await queue.depth()).delayed == 0, "the twin does its work"
    found = await harness.results().outcome("a")
    assert found == JobOutcome(state="discarded", error="merged with a twin that waits")


@pytest.mark.needs("lanes")
async def test_a_job_may_have_a_lane_and_a_result(harness: Harness) -> None:
    queue = await harness.consumer()
    await queue.publish([job("a", lane="tenant-ä", dedup="doc-1", keep=90.5, payload=b"[1]")])
    delivery = await claim_one(queue)
    assert delivery.job == job("a", lane="tenant-ä", dedup="doc-1", keep=90.5, payload=b"[1]")
    await settle(queue, delivery, Done(1))
    assert (await harness.results().outcome("a")) is not None


async def test_everyone_who_waits_gets_the_outcome(queue: Queue, harness: Harness) -> None:
    waiting = [asyncio.create_task(harness.results().wait("a", 60.0)) for _ in range(3)]
    await queue.publish([job("a", keep=60.0)])
    first = await claim_one(queue)
    await settle(queue, first, Retry("again", 0.0))
    delivery = await claim_one(queue)
    await harness.results().report(delivery, 50)
    await asyncio.wait(waiting, timeout=0.1)
    assert not any(each.done() for each in waiting), "neither a retry nor progress is final"
    await settle(queue, delivery, Done("ready"))
    async with asyncio.timeout(PROMPT):
        outcomes = await asyncio.gather(*waiting)
    assert outcomes == [JobOutcome(state="done", progress=50, result="ready")] * 3
    assert await harness.results().wait("a", 60.0) == outcomes[0], "also when it is there already"


async def test_a_wait_that_ends_before_the_job_tells_what_there_is(
    queue: Queue, harness: Harness
) -> None:
    results = harness.results()
    await queue.publish([job("a", keep=60.0)])
    await results.report(await claim_one(queue), "half")
    assert await results.wait("a", 0.05) == JobOutcome(state="running", progress="half")
    assert await results.wait("unknown", 0.05) is None


async def test_what_a_decoder_asks_to_keep_is_not_kept(harness: Harness) -> None:
    queue = await harness.consumer(
        decoder=lambda raw: Job(type="job", lane="a", keep_result_seconds=60.0)
    )
    await harness.push(b"anything")
    delivery = await claim_one(queue)
    assert delivery.job.keep_result_seconds == 0.0
    await harness.results().report(delivery, 1)
    await settle(queue, delivery, Done(1))
    assert await harness.results().outcome(delivery.job.key) is None


async def test_results_of_two_queues_do_not_mix(queue: Queue, harness: Harness) -> None:
    await queue.publish([job("a", keep=60.0)])
    await settle(queue, await claim_one(queue), Done(1))
    other = type(harness)(harness.url)
    assert isinstance(other.settings, QueueSettings)
    assert await other.results().outcome("a") is None
    await other.close()
