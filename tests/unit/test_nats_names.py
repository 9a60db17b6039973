"""Names and addresses of queues in NATS."""

from __future__ import annotations

import pytest

from shared.errors import ConfigError
from shared.queue.nats_jetstream.address import Address
from shared.queue.nats_jetstream.names import CONSUMERS, names_of


@pytest.mark.parametrize(
    "name",
    ["", "two words", "a*", ">", "a..b", ".a", "a.", "$JS.API", "_INBOX.x", "a\n", "a" * 129],
)
def test_a_name_that_cannot_be_a_subject_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="is not allowed on NATS"):
        names_of(name)


def test_queues_never_share_a_stream_or_a_subject() -> None:
    queues = ["a.b", "a=2Eb", "a_b", "a-b", "a", "a+dead", "ä", "indexer:jobs", "a{7}", "a/b"]
    names = [names_of(queue) for queue in queues]
    streams = [s for n in names for s in (n.stream, n.dead_stream, n.workers_stream)]
    assert len(set(streams)) == 3 * len(queues)
    assert len({n.prefix for n in names}) == len(queues)
    assert not [stream for stream in streams if set(stream) & set(" .*>/\\")]


def test_programs_publish_to_the_name_itself() -> None:
    names = names_of("indexer:jobs")
    assert names.inbox == "indexer:jobs"
    assert len({names.filter_of(consumer) for consumer in CONSUMERS}) == len(CONSUMERS)


def test_a_login_is_read_and_not_shown() -> None:
    address = Address("nats://us%40er:pa%3Ass@one:1111,two")
    assert str(address) == "one:1111,two:4222"
    assert address.options() == {
        "servers": ["nats://one:1111", "nats://two:4222"],
        "user": "us@er",
        "password": "pa:ss",
    }
    assert Address("nats://secret@one").options()["token"] == "secret"


def test_tls_is_by_the_scheme() -> None:
    assert "tls" in Address("tls://one").options()
    assert "tls" not in Address("nats://one").options()


@pytest.mark.parametrize(
    "url", ["nats://", "nats://a:port", "http://a", "nats://a/path", "nats://a,,b"]
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="not a NATS URL"):
        Address(url)
