"""The pure parts of the Kafka adapter: progress of a partition, shares, names, addresses."""

from __future__ import annotations

import random

import pytest

from shared.errors import ConfigError
from shared.queue.kafka.address import Address, read_address
from shared.queue.kafka.assignor import share
from shared.queue.kafka.topics import topics_of
from shared.queue.kafka.window import MOST_OPEN, Progress, Window, read_progress

METADATA_LIMIT = 4096
"""offset.metadata.max.bytes of a Kafka that nobody configured."""


def read(window: Window, *offsets: int) -> list[int | None]:
    return [window.read(offset) for offset in offsets]


def taken_over(window: Window) -> Window:
    """Return the window of the next owner, made of what the last one committed."""
    return Window(window.base, read_progress(window.progress("old")).states)


def test_only_what_is_done_without_a_gap_is_committed() -> None:
    window = Window(10)
    assert read(window, 10, 11, 12) == [0, 0, 0]
    window.finish(11)
    assert window.base == 10
    window.finish(10)
    assert window.base == 12
    window.finish(12)
    assert window.base == 13 == window.next


def test_offsets_that_do_not_exist_hold_nothing_up() -> None:
    window = Window(0)
    read(window, 0, 5, 9)
    for offset in (9, 0, 5):
        window.finish(offset)
    assert window.base == 10


def test_a_log_that_was_trimmed_is_taken_up_where_it_begins() -> None:
    window = Window(3)
    assert window.read(1_000_000) == 0
    assert (window.base, window.room) == (1_000_000, MOST_OPEN - 1)


def test_who_takes_over_skips_what_is_done_and_counts_what_ran() -> None:
    window = Window(0)
    read(window, 0, 1, 2, 3)
    for offset in (0, 1, 2):
        window.start(offset)
    window.finish(1)
    window.give_back(2)
    assert read(taken_over(window), 0, 1, 2, 3) == [1, None, 0, 0]


def test_crashes_add_up_over_owners_and_end_with_the_job() -> None:
    window = Window(0)
    for crashes in range(3):
        assert read(window, 0, 1) == [crashes, 0]
        window.start(0)
        window = taken_over(window)
    assert read(window, 0) == [3]
    window.finish(0)
    assert read(taken_over(window), 1) == [0]


def test_what_is_given_up_in_a_rebalance_did_not_crash() -> None:
    window = Window(0)
    read(window, 0)
    window.start(0)
    left = read_progress(window.progress("old", keep_running=False))
    assert read(Window(window.base, left.states), 0) == [0]


def test_no_state_of_a_window_is_too_large_for_its_commit() -> None:
    window, dice = Window(7), random.Random(5)
    while window.room > 0:
        window.read(window.next)
    for offset in range(8, window.next):
        if dice.random() < 0.5:
            window.finish(offset)
        else:
            for _ in range(dice.randrange(3)):
                window._set(offset, window._state(offset) + 2)
            window.start(offset)
    assert len(window.progress("x" * 32)) < METADATA_LIMIT


def test_progress_counts_what_is_done_and_what_runs() -> None:
    window = Window(0)
    read(window, 0, 1, 2, 3)
    window.start(0)
    window.start(3)
    window.finish(2)
    progress = read_progress(window.progress("me"))
    assert (progress.owner, progress.done, progress.running) == ("me", 1, 2)


@pytest.mark.parametrize("metadata", ["", "hello", "1 me !!!", "1 me abc", "2 me x"])
def test_metadata_of_somebody_else_says_nothing(metadata: str) -> None:
    assert read_progress(metadata).states == Progress().states


def test_everyone_gets_a_share_and_keeps_what_it_can() -> None:
    assert share(8, {"a": set()}) == {"a": set(range(8))}
    two = share(8, {"a": set(range(8)), "b": set()})
    assert two == {"a": {0, 1, 2, 3}, "b": {4, 5, 6, 7}}
    three = share(8, two | {"c": set()})
    assert three["a"] < two["a"] or three["a"] <= two["a"]
    assert three["b"] <= two["b"]
    assert sorted(map(len, three.values())) == [2, 3, 3]


def test_shares_are_whole_whatever_members_believe() -> None:
    shares = share(5, {"a": {0, 1, 2, 9}, "b": {1, 2, 3}, "c": set()})
    assert sorted(number for each in shares.values() for number in each) == [0, 1, 2, 3, 4]
    assert share(1, {"a": set(), "b": {0}}) == {"a": set(), "b": {0}}


def test_a_delay_goes_to_the_topic_of_its_length() -> None:
    topics = topics_of("indexer:jobs")
    assert topics.inbox == "indexer-jobs"
    assert topics.bucket(0.0) == topics.bucket(-1.0) == "indexer-jobs.jobs"
    found = [topics.bucket(each) for each in (0.1, 10.0, 11.0, 300.0, 301.0, 1e6)]
    assert [each.removeprefix("indexer-jobs.retry.") for each in found] == [
        "10s", "10s", "5m", "5m", "1h", "1h"
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["", "a b", "ä", "a/b", "x" * 201])
def test_a_name_that_cannot_be_a_topic_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="cannot be a Kafka topic"):
        topics_of(name)


def test_an_address_names_servers_partitions_and_copies() -> None:
    assert read_address("kafka://a:9092,b:9093?partitions=3&replication=2") == Address(
        "a:9092,b:9093", 3, 2
    )


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("kafka://a", "is not a Kafka URL"),
        ("kafka://a:x", "is not a Kafka URL"),
        ("kafka://a:1,b", "is not a Kafka URL"),
        ("kafka://a:1/topic", "has no path"),
        ("kafka://a:1?partition=2", "unknown in a Kafka URL: partition"),
        ("kafka://a:1?partitions=0", "partitions in a Kafka URL is '0'"),
    ],
)
def test_a_wrong_address_is_refused_with_its_fault(url: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        read_address(url)


def test_a_password_in_an_address_is_not_repeated() -> None:
    with pytest.raises(ConfigError, match="no user and no password") as raised:
        read_address("kafka://me:canary@a:9092")
    assert "canary" not in str(raised.value)
