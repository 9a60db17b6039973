"""The pure parts of the queue: names, messages, settlements, choice of adapter."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Collection, Sequence

import msgspec
import pytest
from redis.crc import key_slot

from shared.errors import ConfigError, ConnectionLostError
from shared.jobs import Delivery, Job
from shared.queue.factory import adapter_of, create_queue, create_queue_admin
from shared.queue.message import decode_message
from shared.queue.port import QueueSettings
from shared.queue.redis.keys import QueueKeys, keys_of
from shared.queue.redis.queue import RedisQueue
from shared.queue.redis.settlement import LONGEST_REASON, arguments_of
from shared.redis.client import address_of, connect
from shared.renewal_thread import RenewalThread
from shared.verdicts import DeadLetter, Discard, Done, HandBack, Retry, Settlement, Snooze


def all_names(keys: QueueKeys) -> list[str]:
    parts = msgspec.structs.asdict(keys)
    parts.pop("prefix")
    return [*parts.pop("ready"), *parts.values(), keys.answer("consumer")]


@pytest.mark.parametrize("name", ["indexer:jobs", "q", "shop{7}", "{7}:shop", "ä b"])
def test_all_keys_of_a_queue_share_a_slot_and_none_is_used_twice(name: str) -> None:
    names = all_names(keys_of(name))
    assert len({key_slot(each.encode()) for each in names}) == 1
    assert len(set(names)) == len(names)


def test_the_inbox_has_the_queues_own_name() -> None:
    assert keys_of("indexer:jobs").inbox == "indexer:jobs"
    assert keys_of("indexer:jobs").jobs == "{indexer:jobs}:jobs"
    assert keys_of("shop{7}").jobs == "shop{7}:jobs"


@pytest.mark.parametrize("name", ["", "{", "a}b", "{}", "{a}{b}", "}a{", "{{a}}"])
def test_other_braces_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="queue name"):
        keys_of(name)


def test_no_two_queues_share_a_key() -> None:
    names = [set(all_names(keys_of(each))) for each in ("a", "{a}", "a:jobs", "{a}:jobs", "x{a}")]
    plain = [each for each in names[0] if each != "a"]
    assert not set(plain) & (names[2] | names[4])


@pytest.mark.parametrize("payload", ["[1, 2]", '"text"', "7", '{"a": {"ID": 1}}'])
def test_a_payload_stays_as_it_was_written(payload: str) -> None:
    message = f'{{"id":"1","type":"t","payload":{payload}}}'
    assert decode_message(message.encode()).payload == payload.encode()


def test_the_queue_makes_the_key_of_a_message() -> None:
    assert decode_message(b'{"id":"1","type":"t","key":"mine","payload":{}}').key == ""


def settlement(token: str, verdict: object) -> Settlement:
    return Settlement(Delivery(job=Job(type="t"), token=token), verdict)  # type: ignore[arg-type]


def test_settlements_become_arguments() -> None:
    arguments = arguments_of(
        [
            settlement("a", Done()),
            settlement("b", Retry("r", after=1.5)),
            settlement("c", Discard("d")),
            settlement("d", HandBack()),
            settlement("e", HandBack()),
            settlement("f", Snooze(-1.0)),
            settlement("g", DeadLetter("x" * 5000)),
        ]
    )
    finished, *others = arguments
    assert isinstance(finished, bytes)
    assert msgspec.msgpack.decode(finished) == ["a", "c"]
    assert others == [
        *("dead", "g", b"x" * LONGEST_REASON),
        *("snooze", "f", 0),
        *("back", "e", 0),
        *("back", "d", 0),
        *("retry", "b", 1500),
    ]


def test_what_is_no_verdict_is_refused() -> None:
    with pytest.raises(TypeError, match="not a verdict"):
        arguments_of([settlement("a", "done")])


@pytest.mark.parametrize("url", ["http://x", "mysql://x", "localhost:6379", ""])
def test_a_url_without_an_adapter_is_refused_by_name(url: str) -> None:
    for create in (create_queue, create_queue_admin):
        with pytest.raises(ConfigError, match="redis://"):
            create(QueueSettings(name="q"), url)


async def test_memory_queues_of_one_name_are_one_queue() -> None:
    first = create_queue(QueueSettings(name="same"), "memory://")
    second = create_queue(QueueSettings(name="same"), "memory://")
    await first.publish([Job(type="t", key="a")])
    await second.open("tester", ["t"])
    (delivery,) = (await second.exchange([], 5)).deliveries
    assert delivery.job.key == "a"
    admin = create_queue_admin(QueueSettings(name="same"), "memory://")
    await second.exchange([Settlement(delivery, DeadLetter("no"))], 0)
    assert [each.key for each in await admin.dead_letters()] == ["a"]


async def test_consuming_needs_an_open_queue_and_connects_to_nothing() -> None:
    queue = create_queue(QueueSettings(name="q"), "redis://127.0.0.1:1/0")
    with pytest.raises(RuntimeError, match="open"):
        await queue.exchange([], 1)
    await queue.close()


async def test_a_deduplication_key_has_a_longest_length() -> None:
    queue = RedisQueue(QueueSettings(name="q"), "redis://127.0.0.1:1/0")
    with pytest.raises(ValueError, match=r"65535 bytes"):
        await queue.publish([Job(type="t", dedup_key="x" * 70_000)])
    await queue.close()


def test_a_bad_url_is_refused_without_its_password() -> None:
    with pytest.raises(ConfigError) as caught:
        connect("redis//:canary@host")
    assert "canary" not in str(caught.value)


def test_an_address_has_no_password() -> None:
    assert address_of(connect("redis://user:canary@example.org:7000/0")) == "example.org:7000"
    assert address_of(connect("unix:///run/redis.sock?password=canary")) == "/run/redis.sock"


@pytest.mark.parametrize("failure", [ConnectionLostError("away"), KeyError("of a library")])
def test_a_keeper_renews_what_is_held_now_and_tries_again_sooner_after_a_failure(
    failure: Exception,
) -> None:
    seen: list[tuple[str, ...]] = []
    enough = threading.Event()

    def renew(tokens: Sequence[str]) -> Collection[str]:
        seen.append(tuple(tokens))
        if len(seen) < 3:
            raise failure
        enough.set()
        return []

    pauses: list[float | None] = []

    class Impatient(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            pauses.append(timeout)
            return super().wait(0.001)

    keeper = RenewalThread(renew, lease_seconds=3.0)
    keeper._stopped = Impatient()
    held = {"mine": time.monotonic() + 60, "over": time.monotonic() - 1}
    keeper.start(held, lambda _: None)
    assert enough.wait(30)
    keeper.stop()
    assert set(seen) == {("mine",)}
    assert pauses[:4] == [1.0, 0.1, 0.1, 1.0]


def test_the_port_imports_no_client_library() -> None:
    code = "import sys, shared.queue.factory; sys.exit('redis' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    "url",
    [
        "redis://h",
        "rediss://h",
        "unix:///s",
        "redis+cluster://h",
        "amqp://h",
        "nats://h",
        "kafka://h:9092",
        "kafka+ssl://h:9092",
        "postgres://h",
        "postgresql://h",
        "tls://h",
        "memory://",
    ],
)
async def test_the_adapter_that_is_imported_before_a_fork_is_the_one_that_is_made(url: str) -> None:
    queue = create_queue(QueueSettings(name="q"), url)
    assert type(queue).__module__ == adapter_of(url)
    await queue.close()
