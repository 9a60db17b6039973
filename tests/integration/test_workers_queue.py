"""`workers queue` on a real server: what people do to dead letters."""

from __future__ import annotations

import asyncio
import json

import pytest
import redis
from click.testing import CliRunner, Result

from shared.queue.factory import create_queue
from shared.queue.port import QueueDepth, QueueSettings
from shared.verdicts import DeadLetter, Settlement
from workers.__main__ import main

QUEUE = "indexer:jobs"
READABLE = b'{"id":"7","type":"index_document","payload":{"document_id":"a"}}'


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["queue", *arguments])


@pytest.fixture
def url(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A server with two dead letters: a job that a worker gave up, and bytes nobody can read."""
    monkeypatch.setenv("REDIS_URL", redis_url)
    with redis.Redis.from_url(redis_url) as client:
        client.lpush(QUEUE, READABLE, b"rubb\xffish")
    asyncio.run(give_up(redis_url))
    return redis_url


async def give_up(url: str) -> None:
    queue = create_queue(QueueSettings(name=QUEUE), url)
    await queue.open("indexer", ["index_document"])
    claimed = (await queue.exchange([], 10)).deliveries
    await queue.exchange([Settlement(each, DeadLetter("no room")) for each in claimed], 0)
    await queue.close()


def depth(url: str) -> QueueDepth:
    async def ask() -> QueueDepth:
        queue = create_queue(QueueSettings(name=QUEUE), url)
        try:
            return await queue.depth()
        finally:
            await queue.close()

    return asyncio.run(ask())


@pytest.mark.usefixtures("url")
def test_dead_letters_are_listed_with_reason_and_content() -> None:
    shown = run("list", QUEUE).output
    listed = json.loads(run("list", QUEUE, "--json").output)

    assert "no room" in shown
    assert 'index_document: {"document_id":"a"}' in shown
    assert "message: rubb\N{REPLACEMENT CHARACTER}ish" in shown
    types = {each["type"]: each["body"] for each in listed}
    assert types["index_document"] == '{"document_id":"a"}'
    assert set(types) == {"index_document", None}
    assert all(each["key"] in shown for each in listed)


def test_those_named_are_replayed_and_the_rest_purged(url: str) -> None:
    listed = json.loads(run("list", QUEUE, "--json").output)
    job = next(each["key"] for each in listed if each["type"])

    assert run("replay", QUEUE, job).output == "1 replayed.\n"
    assert (depth(url).ready, depth(url).dead) == (1, 1)
    assert run("purge", QUEUE, "--all").output == "1 deleted.\n"
    assert (depth(url).ready, depth(url).dead) == (1, 0)
    assert run("list", QUEUE).output == "No dead letters.\n"


def test_neither_keys_nor_all_is_a_mistake_that_deletes_nothing(url: str) -> None:
    assert run("purge", QUEUE).exit_code == 2
    assert run("purge", QUEUE, "key", "--all").exit_code == 2
    assert depth(url).dead == 2


def test_a_server_that_is_away_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://:canary@127.0.0.1:9/0")
    ran = run("list", QUEUE)
    assert ran.exit_code == 3
    assert "127.0.0.1:9" in ran.output
    assert "canary" not in ran.output
