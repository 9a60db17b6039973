"""`workers queue` on a real server: what people do to dead letters."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any
from uuid import uuid4

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


async def give_up(url: str, name: str = QUEUE) -> None:
    queue = create_queue(QueueSettings(name=name), url)
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


def published(*arguments: str) -> list[str]:
    ran = run("publish", QUEUE, "--json", *arguments)
    assert ran.exit_code == 0, ran.output
    keys: list[str] = json.loads(ran.output)["keys"]
    return keys


def test_a_published_job_is_listed_and_shown(url: str) -> None:
    (key,) = published("--type", "send", "--payload", '{"to": 7}', "--id", "mine")
    (listed,) = json.loads(run("list", QUEUE, "--state", "ready", "--json").output)
    assert (listed["key"], listed["type"], listed["id"]) == (key, "send", "mine")
    shown = run("show", QUEUE, key).output
    assert "ready" in shown
    assert '{"to": 7}' in shown
    assert json.loads(run("depth", QUEUE, "--json").output)["ready"] == 1
    assert "ready          1" in run("depth", QUEUE).output


def test_a_job_that_is_not_there_is_said_to_be(url: str) -> None:
    ran = run("show", QUEUE, "nobody")
    assert (ran.exit_code, "has no job nobody" in ran.output) == (1, True)


def test_a_file_of_jobs_is_published_whole_or_not_at_all(url: str, tmp_path: Path) -> None:
    lines = tmp_path / "jobs"
    lines.write_bytes(READABLE + b"\n\n" + READABLE + b"\n")
    assert len(published("--file", str(lines), "--delay", "60")) == 2
    assert depth(url).delayed == 2
    lines.write_bytes(READABLE + b"\nrubbish\n")
    ran = run("publish", QUEUE, "--file", str(lines))
    assert (ran.exit_code, "line 2" in ran.output) == (2, True)
    assert depth(url).delayed == 2


@pytest.mark.parametrize(
    "mistake", [[], ["--type", "a", "--file", "-"], ["--type", "a", "--payload", "{"]]
)
def test_what_cannot_be_published_is_a_mistake(url: str, mistake: list[str]) -> None:
    assert run("publish", QUEUE, *mistake).exit_code == 2


def test_dead_letters_are_chosen_by_type_and_by_time(url: str) -> None:
    assert run("replay", QUEUE, "--type", "other").output == "0 replayed.\n"
    assert run("replay", QUEUE, "--until", "1h").output == "0 replayed.\n"
    assert run("replay", QUEUE, "--since", "2999-01-01").output == "0 replayed.\n"
    assert run("replay", QUEUE, "--type", "index_document", "--since", "1h").output == (
        "1 replayed.\n"
    )
    assert (depth(url).ready, depth(url).dead) == (1, 1)
    assert run("purge", QUEUE, "--since", "yesterday").exit_code == 2


def test_waiting_jobs_are_cancelled(url: str) -> None:
    (key,) = published("--type", "send")
    assert run("cancel", QUEUE, key).output == "1 of 1 cancelled.\n"
    assert run("cancel", QUEUE, key).exit_code == 1
    assert run("show", QUEUE, key).exit_code == 1


def claim(url: str) -> int:
    async def ask() -> int:
        queue = create_queue(QueueSettings(name=QUEUE), url)
        await queue.open("indexer", ["send"])
        try:
            return len((await queue.exchange([], 10)).deliveries)
        finally:
            await queue.close()

    return asyncio.run(ask())


def test_a_paused_queue_hands_out_nothing_until_it_is_resumed(url: str) -> None:
    published("--type", "send")
    assert run("pause", QUEUE).output == f"{QUEUE} paused.\n"
    assert claim(url) == 0
    run("resume", QUEUE)
    assert claim(url) == 1


def test_a_drain_pauses_and_waits_for_what_runs(url: str) -> None:
    assert "drained" in run("drain", QUEUE).output
    run("resume", QUEUE)
    published("--type", "send")
    assert claim(url) == 1
    ran = run("drain", QUEUE, "--timeout", "0.2")
    assert (ran.exit_code, "1 jobs" in ran.output) == (1, True)
    assert run("drain", QUEUE, "--type", "other", "--timeout", "0").exit_code == 0
    assert run("drain", QUEUE, "--type", "send", "--timeout", "0").exit_code == 1


def test_a_queue_without_schedules_says_so(url: str) -> None:
    assert run("schedules", QUEUE).output == "No schedules.\n"
    assert run("schedules", QUEUE, "--forget", "nightly").exit_code == 1


@pytest.mark.parametrize("verb", sorted(main.commands["queue"].commands))  # type: ignore[attr-defined]
def test_every_verb_answers_programs_too(verb: str) -> None:
    assert "--json" in run(verb, "--help").output


def told(*arguments: str) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(run(*arguments, "--json").output)
    return answer


def test_what_was_changed_is_told_as_json(url: str) -> None:
    keys = published("--type", "send") + published("--type", "send")
    assert told("replay", QUEUE, "--type", "index_document") == {"replayed": 1}
    assert told("purge", QUEUE, "--all") == {"deleted": 1}
    assert told("cancel", QUEUE, keys[0]) == {"cancelled": 1}
    assert told("pause", QUEUE) == {"queue": QUEUE, "type": None, "paused": True}
    assert told("resume", QUEUE) == {"queue": QUEUE, "type": None, "paused": False}
    assert claim(url) == 2
    ran = run("drain", QUEUE, "--type", "send", "--timeout", "0", "--json")
    assert ran.exit_code == 1
    assert json.loads(ran.output) == {"queue": QUEUE, "type": "send", "paused": True, "running": 1}


def test_a_queue_on_several_shards_is_looked_at_and_paused_as_a_whole(url: str) -> None:
    published("--type", "send")
    assert run("--shards", "3", "pause", QUEUE).exit_code == 0
    lines = "\n".join(['{"type": "send"}'] * 30)
    ran = CliRunner().invoke(
        main, ["queue", "--shards", "3", "publish", QUEUE, "--file", "-"], input=lines
    )
    assert "30 published" in ran.output
    assert told("--shards", "3", "depth", QUEUE)["ready"] == 31
    each = [told("depth", name)["ready"] for name in (f"{QUEUE}.1", f"{QUEUE}.2")]
    assert all(0 < ready < 30 for ready in each)
    assert claim(url) == 0
    assert run("--shards", "0", "depth", QUEUE).exit_code == 2


def test_a_dead_letter_is_shown_where_nothing_else_can_be(
    nats_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"dead-{uuid4().hex[:8]}"
    monkeypatch.setenv("QUEUE_URL", nats_url)
    key = told("publish", name, "--type", "index_document")["keys"][0]
    asyncio.run(give_up(nats_url, name))
    assert told("show", name, key)["reason"] == "no room"
    ran = run("show", name, "nobody")
    assert (ran.exit_code, "has no listing" in ran.output) == (2, True)


def test_a_queue_inside_of_another_process_cannot_be_reached(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("QUEUE_URL", "memory://")
    for arguments in (["depth", QUEUE], ["publish", QUEUE, "--type", "send"]):
        ran = run(*arguments)
        assert (ran.exit_code, "inside of one process" in ran.output) == (2, True)


def test_a_server_that_is_away_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://:canary@127.0.0.1:9/0")
    ran = run("list", QUEUE)
    assert ran.exit_code == 3
    assert "127.0.0.1:9" in ran.output
    assert "canary" not in ran.output
