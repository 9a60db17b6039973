"""Publishing, claiming, order, priority, delay and deduplication."""

from __future__ import annotations

import pytest

from shared.jobs import Job, Priority
from shared.queue.port import Published, Queue
from shared.verdicts import Done, Retry, Settlement, Snooze
from tests.contracts.queue.harness import Harness, claim, claim_any, claim_one, job, keys, settle


async def test_a_job_arrives_as_it_was_published(queue: Queue) -> None:
    able = queue.capabilities
    sent = Job(
        type="index_document",
        payload=b'{"text": "\xc3\xa4 \\u0000", "n": [1, 2]}',
        id="user's id: 7",
        key="a:key:with:colons\nand\x00more",
        priority=Priority.HIGH if able.priority else Priority.NORMAL,
        dedup_key="d\xe9dup" if able.deduplication else "",
    )
    await queue.publish([sent])

    delivery = await claim_one(queue)

    assert delivery.job == sent
    assert (delivery.attempt, delivery.crashes) == (1, 0)
    assert 0 <= delivery.age_seconds < 30


async def test_headers_travel_with_the_job(queue: Queue, harness: Harness) -> None:
    sent = Job(type="job", key="a", headers=(("traceparent", "00-ab-cd-01"), ("tenant", "Ä")))
    await queue.publish([sent])
    await settle(queue, await claim_one(queue), Retry("again", after=harness.later))
    await harness.ripen()
    assert (await claim_one(queue)).job.headers == sent.headers


async def test_a_payload_need_not_be_text(queue: Queue) -> None:
    await queue.publish([job(payload=bytes(range(256)) * 100)])
    assert (await claim_one(queue)).job.payload == bytes(range(256)) * 100


async def test_jobs_are_claimed_in_the_order_of_publishing(queue: Queue) -> None:
    await queue.publish([job("a"), job("b")])
    await queue.publish([job("c")])
    assert keys(await claim(queue, 2)) == ["a", "b"]
    assert keys(await claim(queue, 2)) == ["c"]


async def test_no_more_is_claimed_than_wanted(queue: Queue) -> None:
    await queue.publish([job() for _ in range(5)])
    assert len(await claim(queue, 0)) == 0
    assert len(await claim(queue, 3)) == 3


async def test_a_claimed_job_is_claimed_by_nobody_else(queue: Queue, other: Queue) -> None:
    await queue.publish([job(str(n)) for n in range(20)])
    first, rest = await claim(queue, 12), await claim_any([other, queue], 12)
    assert sorted(keys(first) + keys(rest)) == sorted(map(str, range(20)))


@pytest.mark.needs("idempotent_publish")
async def test_the_same_key_is_stored_once(queue: Queue) -> None:
    once = job("same")
    assert await queue.publish([once]) == Published(1, 0)
    assert await queue.publish([once, job("new")]) == Published(1, 1)
    first = await claim_one(queue)
    assert await queue.publish([once]) == Published(0, 1), "also while it is being worked on"
    await settle(queue, first, Done())
    assert keys(await claim(queue)) == ["new"]


async def test_jobs_without_a_key_are_jobs_of_their_own(queue: Queue) -> None:
    assert await queue.publish([Job(type="job"), Job(type="job")]) == Published(2, 0)
    first, second = await claim(queue, 2)
    assert first.job.key != second.job.key


async def test_thousands_are_published_and_claimed_at_once(queue: Queue) -> None:
    sent = [str(n) for n in range(3500)]
    assert (await queue.publish([job(key) for key in sent])).accepted == 3500
    got: list[str] = []
    while deliveries := await claim(queue, 1000):
        got += keys(deliveries)
        await queue.exchange([Settlement(each, Done()) for each in deliveries], 0)
    assert got == sent


@pytest.mark.needs("priority")
async def test_a_lower_priority_number_is_claimed_first(queue: Queue) -> None:
    order = [Priority.LOW, Priority.NORMAL, Priority.HIGH]
    await queue.publish([job(each.name, priority=each) for each in order])
    assert keys(await claim(queue)) == ["HIGH", "NORMAL", "LOW"]


async def test_a_delayed_job_waits_for_its_time(queue: Queue, harness: Harness) -> None:
    await queue.publish([job("later", delay=harness.later), job("now")])
    assert keys(await claim(queue)) == ["now"]
    assert (await queue.depth()).delayed == 1
    await harness.ripen()
    assert keys(await claim(queue)) == ["later"]


async def test_more_than_was_wanted_is_due_at_once(queue: Queue) -> None:
    assert (await queue.exchange([], 1)).next_due_seconds is None
    await queue.publish([job() for _ in range(40)])
    answer = await queue.exchange([], 20)
    while answer.next_due_seconds is None:
        await queue.wait(1.0)
        answer = await queue.exchange([], 1)
    assert answer.next_due_seconds == 0


@pytest.mark.needs("lease_per_message")
async def test_the_next_due_time_is_known(queue: Queue, harness: Harness) -> None:
    assert (await queue.exchange([], 1)).next_due_seconds is None
    await queue.publish([job(delay=20.0)])
    due = (await queue.exchange([], 1)).next_due_seconds
    if harness.knows_due:
        assert due is not None
        assert 15 < due <= 20
    await queue.publish([job(), job()])
    assert (await queue.exchange([], 1)).next_due_seconds == 0


@pytest.mark.needs("deduplication")
async def test_while_a_twin_waits_a_job_is_a_duplicate(queue: Queue) -> None:
    assert await queue.publish([job("a", dedup="doc-1")]) == Published(1, 0)
    assert await queue.publish([job("b", dedup="doc-1")]) == Published(0, 1)
    assert await queue.publish([job("c", dedup="doc-2"), job("d")]) == Published(2, 0)
    assert keys(await claim(queue)) == ["a", "c", "d"]


@pytest.mark.needs("deduplication")
async def test_the_deduplication_key_is_let_go_in_the_claim(queue: Queue) -> None:
    await queue.publish([job("a", dedup="doc-1")])
    running = await claim_one(queue)
    assert await queue.publish([job("b", dedup="doc-1")]) == Published(1, 0)
    await settle(queue, running, Done())
    assert await queue.publish([job("c", dedup="doc-1")]) == Published(0, 1), "b still waits"
    assert keys(await claim(queue)) == ["b"]


@pytest.mark.needs("deduplication")
@pytest.mark.parametrize("verdict", [Retry("again", after=60.0), Snooze(60.0)])
async def test_a_retry_that_meets_a_waiting_twin_merges_with_it(
    queue: Queue, harness: Harness, verdict: Retry | Snooze
) -> None:
    await queue.publish([job("a", dedup="doc-1")])
    running = await claim_one(queue)
    await queue.publish([job("b", dedup="doc-1")])
    assert not await settle(queue, running, verdict)
    await harness.ripen()
    assert keys(await claim(queue)) == ["b"]
    assert await queue.publish([job("a", dedup="doc-1")]) == Published(1, 0), "a has gone"


@pytest.mark.needs("deduplication")
async def test_a_retry_without_a_twin_covers_its_key_again(queue: Queue, harness: Harness) -> None:
    await queue.publish([job("a", dedup="doc-1")])
    await settle(queue, await claim_one(queue), Retry("again", after=60.0))
    assert await queue.publish([job("b", dedup="doc-1", delay=90.0)]) == Published(0, 1)
    await harness.ripen()
    await queue.exchange([], 0)
    assert await queue.publish([job("c", dedup="doc-1")]) == Published(0, 1), "a is ready"
    assert keys(await claim(queue)) == ["a"]


@pytest.mark.needs("deduplication")
@pytest.mark.parametrize("verdict", [Retry("again", after=60.0), Snooze(60.0)])
async def test_a_fresh_job_takes_the_place_of_a_twin_that_is_put_off(
    queue: Queue, harness: Harness, verdict: Retry | Snooze
) -> None:
    await queue.publish([job("a", dedup="doc-1")])
    await settle(queue, await claim_one(queue), verdict)
    assert await queue.publish([job("b", dedup="doc-1"), job("c", dedup="doc-1")]) == Published(
        1, 1
    )
    (delivery,) = await claim(queue)
    assert (delivery.job.key, delivery.attempt) == ("b", 1), "at once, and with fresh counts"
    await settle(queue, delivery, Done())
    await harness.ripen()
    assert not await claim(queue), "a has gone"


@pytest.mark.needs("deduplication")
async def test_a_fresh_job_of_later_date_than_its_twin_is_a_duplicate(
    queue: Queue, harness: Harness
) -> None:
    await queue.publish([job("a", dedup="doc-1", delay=60.0)])
    assert await queue.publish([job("b", dedup="doc-1", delay=90.0)]) == Published(0, 1)
    assert await queue.publish([job("c", dedup="doc-1", delay=30.0)]) == Published(1, 0)
    await harness.ripen()
    assert keys(await claim(queue)) == ["c"]


@pytest.mark.needs("deduplication")
async def test_a_twin_that_crashed_waits_on_beside_a_fresh_job(
    queue: Queue, harness: Harness
) -> None:
    await queue.publish([job("killer", dedup="doc-1")])
    await claim_one(queue)
    await harness.expire_leases()
    await settle(queue, await claim_one(queue), Retry("again", after=60.0))
    assert await queue.publish([job("fresh", dedup="doc-1")]) == Published(1, 0)
    assert keys(await claim(queue)) == ["fresh"]
    await harness.ripen()
    assert [(d.job.key, d.crashes) for d in await claim(queue)] == [("killer", 1)]


async def test_depth_tells_what_waits_where(queue: Queue, harness: Harness) -> None:
    await queue.publish([job(), job(), job(), job(delay=60.0)])
    await claim(queue, 1)
    await harness.push(b'{"type": "job"}')
    depth = await queue.depth()
    assert depth.inbox == (0 if harness.one_line else 1)
    found = (depth.inbox + depth.ready, depth.delayed, depth.leased, depth.dead)
    assert found == (3, 1, 1, 0)


@pytest.mark.needs("oldest_ready_age")
async def test_depth_tells_the_age_of_the_oldest(queue: Queue) -> None:
    await queue.publish([job(), job(delay=60.0)])
    depth = await queue.depth()
    assert depth.oldest_ready_age_seconds is not None
    assert 0 <= depth.oldest_ready_age_seconds < 30


@pytest.mark.needs("oldest_ready_age")
async def test_nothing_ready_has_no_age(queue: Queue) -> None:
    await queue.publish([job(delay=60.0)])
    assert (await queue.depth()).oldest_ready_age_seconds is None


@pytest.mark.needs("oldest_ready_age")
async def test_age_counts_from_when_a_job_became_ready(queue: Queue, harness: Harness) -> None:
    await queue.publish([job("a"), job("b", delay=3000.0)])
    await claim(queue, 1)
    await harness.ripen()
    await queue.exchange([], 0)
    age = (await queue.depth()).oldest_ready_age_seconds
    assert age is not None
    assert 0 <= age < 30
