"""What programs in any language push."""

from __future__ import annotations

import pytest

from shared.jobs import Job
from shared.queue.port import Queue
from shared.verdicts import Done, Retry
from tests.contracts.queue.harness import Harness, claim, claim_one, job, settle

ONE = b'{"id":"1","type":"index_document","payload":{"document_id":"doc-1"}}'


@pytest.mark.parametrize(
    "message",
    [
        ONE,
        b'{"ID":"1","Type":"index_document","Payload":{"document_id":"doc-1"}}',
        b'{"Id":1,"TYPE":"index_document","payload":{"document_id":"doc-1"},"Attempts":0}',
        b' {"type":"index_document", "ID":"1", "Payload":{"document_id":"doc-1"} }\n',
    ],
)
async def test_field_names_are_read_as_any_language_writes_them(
    queue: Queue, harness: Harness, message: bytes
) -> None:
    await harness.push(message)
    found = (await claim_one(queue)).job
    assert (found.id, found.type) == ("1", "index_document")
    assert found.payload.strip() == b'{"document_id":"doc-1"}'


@pytest.mark.parametrize("message", [b'{"type":"job"}', b'{"Type":"job","Payload":null,"ID":null}'])
async def test_a_message_needs_only_a_type(queue: Queue, harness: Harness, message: bytes) -> None:
    await harness.push(message)
    found = (await claim_one(queue)).job
    assert (found.id, found.type, found.payload) == ("", "job", b"{}")


async def test_two_messages_with_the_same_id_are_two_jobs(queue: Queue, harness: Harness) -> None:
    await harness.push(ONE, ONE)
    first, second = await claim(queue)
    assert first.job.id == second.job.id == "1"
    assert first.job.key != second.job.key
    assert not await settle(queue, first, Done())
    assert not await settle(queue, second, Done())


async def test_a_claim_takes_only_what_it_hands_out_and_the_oldest_first(
    queue: Queue, harness: Harness
) -> None:
    await harness.push(*(b'{"type":"job","id":%d}' % n for n in range(5)))
    assert [each.job.id for each in await claim(queue, 2)] == ["0", "1"]
    depth = await queue.depth()
    assert depth.inbox + depth.ready == 3
    assert [each.job.id for each in await claim(queue, 9)] == ["2", "3", "4"]


async def test_a_message_is_leased_and_retried_like_any_job(queue: Queue, harness: Harness) -> None:
    await harness.push(ONE)
    first = await claim_one(queue)
    await harness.expire_leases()
    second = await claim_one(queue)
    assert (second.job.id, second.job.payload, second.crashes) == ("1", first.job.payload, 1)
    await settle(queue, second, Retry("again", 0.0))
    third = await claim_one(queue)
    assert (third.job, third.attempt, third.crashes) == (second.job, 2, 1)


UNREADABLE = [
    b"", b"{", b"[]", b"null", b'"text"', b"{}", b'{"type":""}', b'{"type":7}', b"\xff\xfe\x00",
    b'{"type":"job"} trailing', b'{"id":"1","payload":{}}', b"http://example.org/",
    b'{"type":"job","payload":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
]  # fmt: skip


@pytest.mark.parametrize("message", UNREADABLE, ids=lambda message: repr(message[:30]))
async def test_what_cannot_be_read_is_dead_lettered_with_its_bytes(
    queue: Queue, harness: Harness, message: bytes
) -> None:
    await harness.push(message, ONE)
    assert [each.job.id for each in await claim(queue)] == ["1"]
    await queue.exchange([], 0)
    (dead,) = await harness.admin().dead_letters()
    assert dead.raw == message
    assert dead.job is None
    assert dead.reason.startswith("unreadable: ")
    await harness.expire_leases()
    assert [each.job.id for each in await claim(queue)] == ["1"], "and it never comes back"


async def test_after_an_unreadable_message_the_next_exchange_is_due_at_once(
    queue: Queue, harness: Harness
) -> None:
    await harness.push(b"{")
    assert not await claim(queue)
    answer = await queue.exchange([], 10)
    while answer.next_due_seconds == 0:
        answer = await queue.exchange([], 10)
    assert (await queue.depth()).dead == 1


async def test_a_decoder_that_fails_in_any_way_harms_no_other_message(harness: Harness) -> None:
    def broken(raw: bytes) -> Job:
        return Job(type={b"good": "job"}[raw])

    queue = await harness.consumer(decoder=broken)
    await harness.push(b"bad", b"good")
    assert [each.job.type for each in await claim(queue)] == ["job"]
    await queue.exchange([], 0)
    (dead,) = await harness.admin().dead_letters()
    assert (dead.raw, dead.reason) == (b"bad", "unreadable: KeyError: b'bad'")


async def test_another_form_of_message_is_read_by_a_decoder(harness: Harness) -> None:
    def seed(raw: bytes) -> Job:
        if not raw.startswith(b"http"):
            raise ValueError("not a URL")
        return Job(type="seed", payload=b'"%s"' % raw)

    queue = await harness.consumer(decoder=seed)
    await harness.push(b"https://example.org/", b"gopher")
    (delivery,) = await claim(queue)
    assert (delivery.job.type, delivery.job.payload) == ("seed", b'"https://example.org/"')
    await queue.exchange([], 0)
    (dead,) = await harness.admin().dead_letters()
    assert (dead.raw, dead.reason) == (b"gopher", "unreadable: not a URL")


@pytest.mark.parametrize("flood", ["inbox", "published"])
async def test_the_inbox_and_published_jobs_do_not_starve_each_other(
    queue: Queue, harness: Harness, flood: str
) -> None:
    many, few = (50, 2) if flood == "inbox" else (2, 50)
    await harness.push(*[ONE] * many)
    await queue.publish([job() for _ in range(few)])
    turns = many + few if harness.one_line else 8
    if harness.patience:
        turns *= 3  # what is on its way cannot be handed out yet
    claimed = [delivery.job.type for _ in range(turns) for delivery in await claim(queue, 1)]
    rare = "job" if flood == "inbox" else "index_document"
    assert claimed.count(rare) == 2
