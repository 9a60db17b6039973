"""The pure parts of the Kafka adapter: progress of a partition, shares, names, addresses."""

from __future__ import annotations

import asyncio
import random
import ssl
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock

import msgspec
import pytest
import uvloop
from aiokafka import errors
from aiokafka.conn import AIOKafkaConnection
from aiokafka.protocol.metadata import MetadataRequest

from shared.errors import ConfigError, ConnectionLostError
from shared.queue.factory import create_queue
from shared.queue.kafka.address import Address, read_address
from shared.queue.kafka.assignor import share
from shared.queue.kafka.capabilities import CAPABILITIES
from shared.queue.kafka.connection import mend
from shared.queue.kafka.exchanger import Exchanger
from shared.queue.kafka.outbound import put_off
from shared.queue.kafka.publisher import Publisher
from shared.queue.kafka.record import Stored
from shared.queue.kafka.server import risks
from shared.queue.kafka.shelf import Shelf, Waiting
from shared.queue.kafka.topics import topics_of
from shared.queue.kafka.window import MOST_OPEN, Progress, Window, read_progress
from shared.queue.message import decode_message
from shared.queue.port import QueueSettings

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


def test_a_login_is_unescaped_and_scram_by_default() -> None:
    plain = read_address("kafka://me:p%40ss%2F@a:9092,b:9093").connection()
    assert plain == {
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "me",
        "sasl_plain_password": "p@ss/",
    }
    secure = read_address("kafka+ssl://me:pass@a:9092?mechanism=PLAIN").connection()
    assert (secure["security_protocol"], secure["sasl_mechanism"]) == ("SASL_SSL", "PLAIN")
    assert secure["ssl_context"].check_hostname
    assert secure["ssl_context"].verify_mode is ssl.CERT_REQUIRED
    assert read_address("kafka+ssl://a:9092").connection()["security_protocol"] == "SSL"


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("kafka://a", "cannot be read"),
        ("kafka://a:x", "cannot be read"),
        ("kafka://a:1,b", "cannot be read"),
        ("kafka://a:1/topic", "cannot be read"),
        ("kafka://a:1#topic", "cannot be read"),
        ("kafka://[a:1", "cannot be read"),
        ("kafka://a:1?partition=2", "unknown in a Kafka URL: partition"),
        ("kafka://a:1?partitions=0", "partitions in a Kafka URL is '0'"),
        ("kafka://a:1?mechanism=PLAIN", "unknown in a Kafka URL: mechanism"),
        ("kafka://a:1?cafile=/ca.pem", "unknown in a Kafka URL: cafile"),
        ("kafka+ssl://a:1?cafile=/no/ca.pem", "cafile in a Kafka URL is '/no/ca.pem'.*No such"),
        (f"kafka+ssl://a:1?cafile={__file__}", "has no certificates to trust"),
        ("kafka://me@a:1", "needs both: user:password@"),
        ("kafka://me:pass@a:1?mechanism=GSSAPI", "is 'GSSAPI'; allowed are SCRAM-SHA-512"),
    ],
)
def test_a_wrong_address_is_refused_with_its_fault(url: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        read_address(url)


@pytest.mark.parametrize(
    "url",
    [
        "kafka://me:canary@a:x",
        "kafka://me:canary@a:1/canary",
        "kafka://me:canary@a:1?partitions=x",
        "kafka://me:canary@[a:1",
        "kafka://me:can/ary@a:1",
        "kafka://me:1?canary@a:1",
        "kafka://me:1#canary@a:1",
        "kafka://me:canary\u2100@a:1",
        "kafka://:canary@a:1",
    ],
)
def test_a_password_in_a_wrong_address_is_not_repeated(url: str) -> None:
    with pytest.raises(ConfigError) as raised:
        create_queue(QueueSettings(name="q"), url)
    assert "can" not in str(raised.value).replace("cannot", "")


def test_a_login_is_not_shown() -> None:
    address = read_address("kafka://me:canary@a:1")
    assert "canary" not in f"{address!r} {address} {address.login!r} {vars(Publisher(address))}"


BOLD = {
    "log.flush.interval.messages": "9223372036854775807",
    "min.insync.replicas": "1",
    "unclean.leader.election.enable": "false",
}


@pytest.mark.parametrize(
    ("replication", "change", "words"),
    [
        (1, {}, "topics of one copy"),
        (1, {"log.flush.interval.messages": "1"}, ""),
        (3, {}, "min.insync.replicas is 1"),
        (3, {"min.insync.replicas": "2"}, ""),
        (3, {"min.insync.replicas": "2", "unclean.leader.election.enable": "true"}, "unclean"),
    ],
)
def test_brokers_that_may_lose_jobs_are_named(
    replication: int, change: dict[str, str], words: str
) -> None:
    safe = BOLD | {"log.flush.interval.messages": "1", "min.insync.replicas": "2"}
    found = risks([safe, BOLD | change], Address("a:1", replication=replication))
    assert [words in risk.what and bool(risk.advice) for risk in found] == [True] * bool(words)


def test_every_capability_that_is_lacking_has_its_reason() -> None:
    claims = msgspec.structs.asdict(CAPABILITIES)
    assert set(CAPABILITIES.why) == {name for name, has in claims.items() if has is False}


HOUR = 3600.0


def waiting(key: str, *, due: float = 0.0, topic: str = "q.jobs", crashes: int = 0) -> Waiting:
    """Return a record that was written at 1,000 s since the epoch."""
    record: Any = SimpleNamespace(topic=topic, value=b"", timestamp=1_000_000)
    return Waiting(Window(0), record, Stored(key, "job", due=due, crashes=crashes))


def names(taken: list[Waiting]) -> list[str]:
    return [each.stored.key for each in taken]


def test_a_delay_of_hours_is_cut_in_pieces_and_ends_in_the_topic_of_its_rest() -> None:
    shelf, topics = Shelf("q"), topics_of("q")
    shelf.put(waiting("long", due=1000.0 + 1.05 * HOUR))
    assert not shelf.ripen(1000.0 + 0.99 * HOUR)
    now = 1000.0 + HOUR
    (found,) = shelf.ripen(now)
    again = put_off(found.record, found.stored, topics, now)
    assert (again.topic, again.stored) == ("q.retry.5m", found.stored)


async def test_a_long_delay_that_could_not_be_put_off_again_still_waits() -> None:
    record: Any = SimpleNamespace(
        topic="q.retry.1h", partition=0, offset=0, value=b"", timestamp=1_000_000,
        headers=[("job", msgspec.json.encode(Stored("long", "job", due=1000.0 + 24 * HOUR)))],
    )  # fmt: skip
    member: Any = AsyncMock(steady=True, taken_over=0, windows={})
    member.pull.side_effect = [[], [], [(Window(0), record, 0)], *[[]] * 3]
    publisher = AsyncMock()
    publisher.send.side_effect = [ConnectionLostError("restarts"), None]
    clock: Any = SimpleNamespace(wall=lambda: 1000.0 + HOUR, monotonic=lambda: 0.0)
    exchanger = Exchanger(
        member, publisher, topics_of("q"), QueueSettings(name="q"), decode_message, clock, ""
    )
    with pytest.raises(ConnectionLostError):
        await exchanger.exchange([], 1)
    assert not (await exchanger.exchange([], 1)).deliveries
    (again,) = publisher.send.await_args.args[0]
    assert (again.topic, again.stored.due) == ("q.retry.1h", 1000.0 + 24 * HOUR)


def test_delayed_jobs_ripen_in_the_order_of_their_times() -> None:
    shelf = Shelf("q")
    for key, due in (("c", 1003.0), ("a", 1001.0), ("b", 1002.0)):
        shelf.put(waiting(key, due=due))
    assert names(shelf.ripen(1002.0)) == ["a", "b"]
    assert shelf.next_due(1002.5, suspect=True) == 0.5


def test_the_inbox_and_jobs_take_turns_and_what_was_handed_back_comes_first() -> None:
    shelf = Shelf("q")
    for n in range(4):
        shelf.put(waiting(f"job{n}"))
        shelf.put(waiting(f"msg{n}", topic="q"))
    shelf.put_back(waiting("back"))
    assert names(shelf.take(3, suspect=True)) == ["back", "job0", "msg0"]
    assert {each[:3] for each in names(shelf.take(2, suspect=True))} == {"job", "msg"}


def test_one_suspect_at_a_time_is_taken() -> None:
    shelf = Shelf("q")
    for key in "ab":
        shelf.put(waiting(key, crashes=2))
    assert names(shelf.take(5, suspect=True)) == ["a"]
    assert names(shelf.take(5, suspect=False)) == []
    assert names(shelf.take(5, suspect=True)) == ["b"]


def test_what_belongs_to_a_lost_partition_is_not_handed_out() -> None:
    shelf = Shelf("q")
    lost = waiting("lost")
    shelf.put(lost)
    shelf.put(waiting("kept"))
    lost.window.lost = True
    assert names(shelf.take(5, suspect=True)) == ["kept"]


def test_a_connection_that_was_just_closed_is_lost_and_nothing_else() -> None:
    """uvloop raises RuntimeError, which would end the client's heartbeat or fetches for good."""

    async def write_to_a_closed_connection() -> None:
        server = await asyncio.start_server(lambda _, peer: peer.close(), "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            connection = AIOKafkaConnection("127.0.0.1", port)
            connection._versions = {MetadataRequest([]).API_KEY: (0, 1)}
            streams = await asyncio.open_connection("127.0.0.1", port)
            connection._reader, connection._writer = streams
            connection._read_task = connection._create_reader_task()
            connection._writer.transport.abort()
            await asyncio.sleep(0)
            with pytest.raises(errors.KafkaConnectionError, match="connection broken"):
                connection.send(MetadataRequest([]))

    mend()
    uvloop.run(write_to_a_closed_connection())
