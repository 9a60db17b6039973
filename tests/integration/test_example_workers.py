"""The example workers, run as their users run them."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from queue import Queue as Lines
from urllib.parse import urlsplit

import pytest
import redis
import redis.asyncio

from shared.queue.administration import DeadLetterRecord
from shared.queue.factory import create_queue_admin
from shared.queue.port import QueueSettings

EXAMPLES = Path("examples/workers")
DEADLINE_SECONDS = 30.0


class Example:
    """A started example: its lines, and its end."""

    def __init__(self, name: str, settings: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(EXAMPLES / name)],
            env={**os.environ, "PYTHONPATH": str(Path.cwd()), **settings},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.began = time.monotonic()
        self._lines: Lines[str] = Lines()
        self._said: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def says(self, text: str) -> str:
        """Wait for a line that has this text, and return it."""
        seen = []
        while text not in (line := self._lines.get(timeout=DEADLINE_SECONDS)):
            seen.append(line)
            assert self.process.poll() is None or not self._lines.empty(), "".join(seen)
        return line

    def count(self, text: str) -> int:
        """Return how many of its lines have this text."""
        return sum(text in line for line in self._said)

    def stop(self) -> int:
        """Ask it to stop; return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(DEADLINE_SECONDS)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as output:
            for line in output:
                self._said.append(line)
                self._lines.put(line)


@pytest.fixture
def run(redis_url: str) -> Iterator[Callable[..., Example]]:
    started: list[Example] = []

    def start(name: str, **settings: str) -> Example:
        started.append(Example(name, {"REDIS_URL": redis_url, "METRICS_PORT": "0", **settings}))
        return started[-1]

    yield start
    for each in started:
        each.close()


def push(url: str, queue: str, *messages: bytes) -> None:
    with redis.Redis.from_url(url) as client:
        client.lpush(queue, *messages)


@pytest.mark.parametrize("processes", ["1", "2"])
def test_the_mail_worker_does_what_it_is_sent_and_stops_in_order(
    run: Callable[..., Example], redis_url: str, processes: str
) -> None:
    worker = run("mail.py", PROCESSES=processes)
    push(redis_url, "mail:jobs", b'{"type":"send","payload":{"to":"ada","text":"hello"}}')
    worker.says("to ada: hello")
    assert worker.stop() == 0


def test_a_wrong_setting_ends_it_with_code_2_and_says_which(run: Callable[..., Example]) -> None:
    worker = run("mail.py", WORKERS="many")
    worker.says("WORKERS='many'")
    assert worker.process.wait(DEADLINE_SECONDS) == 2


@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_broker_that_no_adapter_knows_ends_it_with_code_2(
    run: Callable[..., Example], processes: str
) -> None:
    worker = run("mail.py", QUEUE_URL="carrier-pigeon://loft", PROCESSES=processes)
    worker.says("no queue adapter for carrier-pigeon")
    assert worker.process.wait(DEADLINE_SECONDS) == 2


LOG_LINE = b'192.0.2.7 - - [24/Nov/2026:18:00:%02d +0100] "GET /%d HTTP/1.1" %d %d'


def dead_letters(url: str, queue: str) -> list[DeadLetterRecord]:
    async def ask() -> list[DeadLetterRecord]:
        admin = create_queue_admin(QueueSettings(name=queue), url)
        try:
            return list(await admin.dead_letters())
        finally:
            await admin.close()

    return asyncio.run(ask())


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_log_lines_are_counted_once_though_their_worker_is_killed(
    run: Callable[..., Example], redis_url: str, tmp_path: Path
) -> None:
    summary = tmp_path / "summary.db"
    lines = [LOG_LINE % (n % 60, n, 500 if n % 10 == 0 else 200, 10) for n in range(3_000)]
    push(redis_url, "log:lines", *lines, b"no log line")

    def counted() -> list[tuple[str, int, int, int]]:
        with closing(sqlite3.connect(summary)) as database:
            found = database.execute("SELECT name FROM sqlite_master WHERE name = 'summary'")
            wanted = "SELECT * FROM summary ORDER BY status"
            return list(database.execute(wanted)) if found.fetchone() else []

    settings = {"SUMMARY": str(summary), "LEASE_SECONDS": "1"}
    killed = run("log_lines.py", **settings)
    until(counted)
    killed.process.kill()
    worker = run("log_lines.py", **settings)
    expected = [("2026-11-24T17:00Z", 200, 2_700, 27_000), ("2026-11-24T17:00Z", 500, 300, 3_000)]
    until(lambda: counted() == expected and dead_letters(redis_url, "log:lines"))
    assert worker.stop() == 0
    assert counted() == expected
    (dead,) = dead_letters(redis_url, "log:lines")
    assert dead.reason == "not in the common log format"


def test_files_are_digested_below_the_uploads_and_nowhere_else(
    run: Callable[..., Example], redis_url: str, tmp_path: Path
) -> None:
    uploads = tmp_path / "uploads"
    uploads.mkdir()
    (tmp_path / "secret").write_text("secret")
    text = b"one\ntwo\n"
    (uploads / "plain.txt").write_bytes(text)
    (uploads / "packed.gz").write_bytes(gzip.compress(text))
    (uploads / "torn.gz").write_bytes(gzip.compress(text)[:-9])
    names = ("plain.txt", "packed.gz", "torn.gz", "../secret", "/etc/passwd", "missing")
    for name in names:
        payload = json.dumps({"type": "digest", "payload": {"path": name}})
        push(redis_url, "files:jobs", payload.encode())
    worker = run("digest_files.py", UPLOADS=str(uploads))
    until(lambda: len(dead_letters(redis_url, "files:jobs")) == 4)
    until(lambda: len(list(uploads.glob("*.digest.json"))) == 2)
    assert worker.stop() == 0
    digests = [json.loads(path.read_text()) for path in uploads.glob("*.digest.json")]
    assert digests[0] == digests[1]
    assert (digests[0]["bytes"], digests[0]["lines"]) == (8, 2)
    assert digests[0]["sha256"] == hashlib.sha256(text).hexdigest()
    reasons = " ".join(each.reason for each in dead_letters(redis_url, "files:jobs"))
    assert reasons.count("leads out of the uploads") == 2
    assert "torn.gz is no whole gzip file" in reasons
    assert "there is no file missing" in reasons
    assert not list(tmp_path.glob("*.digest.json"))


EVENTS = [
    b'{"kind":"order.paid","order":7}',
    b'{"kind":"user.left","user":1}',
    b'{"kind":"weather.changed"}',
    b"no event",
]


async def send_by_redis(url: str) -> None:
    async with redis.asyncio.Redis.from_url(url) as client:
        await client.lpush("events", *EVENTS)


async def send_by_nats(url: str) -> None:
    import nats

    client = await nats.connect(url)
    for event in EVENTS:
        await client.jetstream().publish("events", event)
    await client.close()


async def send_by_kafka(url: str) -> None:
    from aiokafka import AIOKafkaProducer

    async with AIOKafkaProducer(bootstrap_servers=urlsplit(url).netloc) as producer:
        for event in EVENTS:
            await producer.send_and_wait("events", event)


SENDERS = {"redis_url": send_by_redis, "nats_url": send_by_nats, "kafka_url": send_by_kafka}


@pytest.mark.parametrize("broker", SENDERS)
def test_foreign_events_of_any_broker_are_routed(
    run: Callable[..., Example], redis_url: str, request: pytest.FixtureRequest, broker: str
) -> None:
    url = request.getfixturevalue(broker)
    worker = run("route_events.py", QUEUE_URL=url, JOBS_URL=redis_url)
    worker.says("worker_ready")
    asyncio.run(SENDERS[broker](url))
    with redis.Redis.from_url(redis_url) as client:
        until(lambda: client.hlen("{billing:jobs}:jobs") and client.hlen("{crm:jobs}:jobs"))
        until(lambda: len(dead_letters(url, "events")) == 1)
        assert worker.stop() == 0
        (paid,) = client.hvals("{billing:jobs}:jobs")
        assert b"order.paid" in paid
        assert EVENTS[0] in paid
        (left,) = client.hvals("{crm:jobs}:jobs")
        assert EVENTS[1] in left
    (dead,) = dead_letters(url, "events")
    assert dead.raw == b"no event"


def test_the_machine_is_sampled_once_by_a_whole_fleet(run: Callable[..., Example]) -> None:
    settings = {"EVERY_SECONDS": "1", "DISK_PERCENT": "0"}
    fleet = [run("watch_machine.py", **settings) for _ in range(2)]
    until(lambda: sum(each.count('"disk_percent"') for each in fleet) >= 3)
    for each in fleet:
        assert each.stop() == 0
        each.close()
    samples = sum(each.count('"disk_percent"') for each in fleet)
    assert sum(each.count("disk_filling") for each in fleet) == samples
    began = min(each.began for each in fleet)
    assert samples <= time.monotonic() - began + 1, "one a second, whoever takes it"


def test_old_files_are_deleted_and_nothing_else(
    run: Callable[..., Example], redis_url: str, tmp_path: Path
) -> None:
    clean, kept = tmp_path / "clean", tmp_path / "kept"
    (clean / "deep").mkdir(parents=True)
    kept.mkdir()
    old = [clean / "deep" / str(n) for n in range(1_200)]
    for path in [*old, kept / "old", clean / "new"]:
        path.touch()
    for path in [*old, kept / "old"]:
        os.utime(path, (0, 0))
    (clean / "link").symlink_to(kept)
    worker = run("clean_up.py", CLEAN=str(clean))
    push(redis_url, "clean:jobs", b'{"type":"clean","payload":{"older_than_days":30}}')
    worker.says("deleted 1000")
    worker.says("deleted 200")
    assert worker.stop() == 0
    assert [path.name for path in clean.rglob("*") if path.is_file()] == ["new"]
    assert (kept / "old").exists()


def test_what_the_schedule_needs_is_refused_where_the_broker_cannot(
    run: Callable[..., Example], nats_url: str
) -> None:
    worker = run("clean_up.py", QUEUE_URL=nats_url)
    worker.says("no schedules")
    assert worker.process.wait(DEADLINE_SECONDS) == 2


def test_the_smallest_worker_is_small() -> None:
    assert len((EXAMPLES / "mail.py").read_text().splitlines()) <= 30
