"""The decisions of the RabbitMQ adapter that need no broker."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace
from typing import Any, cast

import pytest
from msgspec.structs import replace

from shared.errors import ConfigError
from shared.jobs import Job
from shared.queue.factory import create_queue, create_queue_admin
from shared.queue.port import LaneLimits, QueueSettings
from shared.queue.rabbitmq.capabilities import CAPABILITIES
from shared.queue.rabbitmq.settling import after_crashes, misplaced
from shared.queue.rabbitmq.stored_job import StoredJob, stored
from shared.queue.rabbitmq.subscription import Subscription
from shared.queue.rabbitmq.topology import LONGEST_DELAY_SECONDS, Names, bucket_ms, buckets

URL = "amqp://guest:guest@127.0.0.1:5672/"
NAMES = Names("jobs")
JOB = StoredJob(key="a", type="job")


def test_every_capability_that_is_lacking_says_why() -> None:
    lacking = {name for name in CAPABILITIES.__struct_fields__ if not getattr(CAPABILITIES, name)}
    assert set(CAPABILITIES.why) == lacking


def test_delays_in_one_queue_differ_by_half_at_most() -> None:
    bounds = list(buckets())
    assert all(longer / shorter < 1.45 for shorter, longer in pairwise(bounds))
    assert bounds[-1] >= LONGEST_DELAY_SECONDS * 1000
    assert bounds[-1] < 2**32, "RabbitMQ counts no further"
    assert len(bounds) < 64


@pytest.mark.parametrize("seconds", [0.001, 0.125, 0.126, 1.0, 59.9, 3600.0, LONGEST_DELAY_SECONDS])
def test_a_delay_waits_in_the_first_queue_that_is_long_enough(seconds: float) -> None:
    chosen = bucket_ms(seconds)
    assert chosen >= seconds * 1000
    assert not [each for each in buckets() if seconds * 1000 <= each < chosen]


def test_a_delay_that_is_too_long_is_refused() -> None:
    with pytest.raises(ConfigError, match="over RabbitMQ's 40 days"):
        bucket_ms(LONGEST_DELAY_SECONDS * 2)


@pytest.mark.parametrize(
    ("crashes", "returns", "came_from", "count"),
    [
        (0, 0, "jobs", 0),
        (0, 1, "jobs", 1),
        (1, 1, "jobs", 2),
        (0, 9, "jobs", 2),
        (5, 1, "jobs", 5),
        (2, 0, "jobs.suspects", 2),
        (2, 3, "jobs.suspects", 5),
    ],
)
def test_what_was_sent_ahead_makes_suspects_and_only_suspects_die(
    crashes: int, returns: int, came_from: str, count: int
) -> None:
    assert after_crashes(replace(JOB, crashes=crashes), returns, came_from, NAMES) == count


@pytest.mark.parametrize(
    ("crashes", "came_from", "goes_to"),
    [
        (0, "jobs", None),
        (1, "jobs", None),
        (2, "jobs", "jobs.suspects"),
        (2, "jobs.suspects", None),
        (3, "jobs.suspects", "jobs.dead"),
        (0, "jobs.suspects", "jobs"),
    ],
)
def test_a_job_runs_only_where_its_crashes_put_it(
    crashes: int, came_from: str, goes_to: str | None
) -> None:
    copy = misplaced(replace(JOB, crashes=crashes), came_from, 3, NAMES, 1.0)
    assert (copy and copy.to) == goes_to


def test_a_stored_job_is_the_job_that_was_published() -> None:
    sent = Job(type="job", key="a", id="7", payload=b"\x00\xff", headers=(("traceparent", "x"),))
    assert stored(sent, "a", 1.0).job() == sent


@pytest.mark.parametrize(
    ("settled", "acks"),
    [
        ([1], [(1, False)]),
        ([1, 2, 3], [(3, True)]),
        ([3, 1, 2, 5], [(3, True), (5, False)]),
        ([2, 4], [(2, False), (4, False)]),
    ],
)
def test_contiguous_acknowledgements_are_one(
    settled: list[int], acks: list[tuple[int, bool]]
) -> None:
    subscription = Subscription(cast(Any, SimpleNamespace()), "jobs", lambda: None)
    subscription._unacked = dict.fromkeys(range(1, 7), "")
    assert subscription._acks(set(settled)) == acks
    assert set(subscription._unacked) == set(range(1, 7)) - set(settled)


def test_settings_that_rabbitmq_cannot_keep_are_refused() -> None:
    with pytest.raises(ConfigError, match="no lanes: the broker keeps messages and no values"):
        create_queue(QueueSettings(name="jobs", lane_limits={"*": LaneLimits()}), URL)
    with pytest.raises(ConfigError, match="max_crashes is at most 100"):
        create_queue(QueueSettings(name="jobs", max_crashes=101), URL)


async def test_a_job_that_asks_for_more_is_refused() -> None:
    queue = create_queue(QueueSettings(name="jobs"), URL)
    with pytest.raises(ConfigError, match="no deduplication"):
        await queue.publish([Job(type="job", dedup_key="doc-1")])
    with pytest.raises(ConfigError, match="over RabbitMQ's 40 days"):
        await queue.publish([Job(type="job", delay_seconds=1e9)])
    await queue.close()


async def test_administration_says_what_the_broker_cannot_do() -> None:
    admin = create_queue_admin(QueueSettings(name="jobs"), URL)
    with pytest.raises(ConfigError, match="no listing: a message can only be looked at by taking"):
        await admin.jobs("ready")
    with pytest.raises(ConfigError, match="no pause:"):
        await admin.pause()
    with pytest.raises(ConfigError, match="no pause type:"):
        await admin.resume("job")
    with pytest.raises(ConfigError, match="no cancel:"):
        await admin.cancel(["a"])
    await admin.close()


async def test_a_queue_that_was_not_opened_hands_out_nothing() -> None:
    queue = create_queue(QueueSettings(name="jobs"), URL)
    with pytest.raises(RuntimeError, match=r"open\(\) the queue"):
        await queue.exchange([], 1)
