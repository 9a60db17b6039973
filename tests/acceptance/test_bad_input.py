"""What users get wrong, each with a clear answer: what is wrong, where, and what to do."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from shared.embedded.server_process import free_port
from tests.acceptance.worker_process import WorkerProcess, command, until

CANARY = "canary-5a1c9e"


@pytest.fixture
def environment(redis_url: str, database_url: str, tmp_path: Path) -> dict[str, str]:
    """Return settings with which every worker can run."""
    return {
        "REDIS_URL": redis_url,
        "DATABASE_URL": database_url,
        "SEARCH_BACKEND": "tantivy",
        "TANTIVY_DIR": str(tmp_path / "index"),
        "LOG_FORMAT": "json",
    }


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., WorkerProcess]]:
    """Start workers that end with the test."""
    started: list[WorkerProcess] = []

    def start_worker(package: str, environment: dict[str, str]) -> WorkerProcess:
        worker = WorkerProcess(package, environment, free_port(), tmp_path / f"{package}.log")
        started.append(worker)
        worker.start()
        return worker

    yield start_worker
    for worker in started:
        worker.end()


def dead_reasons(url: str, queue: str) -> list[str]:
    """Return dead letters as they are stored."""
    with redis.Redis.from_url(url) as client:
        records = client.hvals(f"{{{queue}}}:dead:records")
    return [record.decode(errors="replace") for record in records]


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (b'{"id": "1", "type": ', "unreadable"),
        (b"\xff\xfe\x00", "unreadable"),
        (b'{"id": "1", "type": "index_document", "payload": {}}', "document_id"),
        (b'{"ID": "1", "Type": "index_document", "Payload": {"document_id": 7}}', "document_id"),
    ],
    ids=["cut off", "not text", "no document_id", "wrong type"],
)
def test_job_that_cannot_be_done_is_a_dead_letter_with_the_reason(
    environment: dict[str, str],
    start: Callable[..., WorkerProcess],
    message: bytes,
    reason: str,
) -> None:
    with redis.Redis.from_url(environment["REDIS_URL"]) as client:
        client.lpush("indexer:jobs", message)
    start("indexer", environment)
    (record,) = until(
        "the job is buried",
        lambda: dead_reasons(environment["REDIS_URL"], "indexer:jobs"),
        20,
    )
    assert reason in record


def test_job_of_an_unknown_type_is_snoozed_not_lost(
    environment: dict[str, str], start: Callable[..., WorkerProcess]
) -> None:
    """A rolling upgrade may bring a worker that knows it, so it waits first."""
    with redis.Redis.from_url(environment["REDIS_URL"]) as client:
        client.lpush("indexer:jobs", b'{"id": "1", "type": "polish_document", "payload": {}}')
        start("indexer", environment)
        (member,) = until(
            "the job is snoozed",
            lambda: client.zrange("{indexer:jobs}:delayed", 0, -1),
            20,
        )
    assert member.decode().endswith(":0:0"), "a snooze spends no attempt"


def test_two_kinds_of_worker_on_one_queue_name(
    environment: dict[str, str], start: Callable[..., WorkerProcess]
) -> None:
    shared_name = {**environment, "QUEUE_KEY": "jobs", "SEEDS_KEY": "jobs"}
    start("indexer", shared_name)
    done = command("crawler", "run", "--metrics-port", "0", environment=shared_name)
    assert done.returncode == 4
    assert "jobs" in done.stderr
    assert "indexer" in done.stderr


def test_invalid_url_in_the_seed_list_names_its_line(
    environment: dict[str, str], tmp_path: Path
) -> None:
    seeds = tmp_path / "seeds.txt"
    seeds.write_text("https://example.org/\nhttp://[broken\n")
    environment["SEED_SCOPE"] = "host"
    done = command("crawler", "seed", "--file", str(seeds), environment=environment)
    assert done.returncode == 6, "some were refused"
    assert f"{seeds}:2: refused: invalid_url" in done.stderr
    assert "http://[broken" in done.stderr


def test_broken_domain_pack_names_line_and_field(
    environment: dict[str, str], tmp_path: Path
) -> None:
    pack = tmp_path / "shop.yaml"
    pack.write_text("name: shop\nscope:\n  hosts: [shop.example]\n  max_depth: deep\n")
    environment["DOMAIN_PACKS"] = str(tmp_path)
    done = command("crawler", "run", environment=environment)
    assert done.returncode == 2
    assert f"{pack}:4: scope.max_depth" in done.stderr


@pytest.mark.parametrize("package", ["crawler", "indexer", "sync"])
def test_wrong_database_password_is_said_but_not_shown(
    environment: dict[str, str], package: str
) -> None:
    scheme, _, rest = environment["DATABASE_URL"].partition("://")
    environment["DATABASE_URL"] = f"{scheme}://postgres:{CANARY}@{rest.partition('@')[2]}"
    done = command(package, "run", "--metrics-port", "0", environment=environment)
    assert done.returncode == 3
    assert "password" in done.stderr
    assert CANARY not in done.stdout + done.stderr


@pytest.mark.parametrize("package", ["crawler", "indexer", "sync"])
@pytest.mark.parametrize("setting", ["REDIS_URL", "DATABASE_URL"])
def test_server_that_is_missing_at_start(
    environment: dict[str, str], package: str, setting: str
) -> None:
    scheme = environment[setting].partition("://")[0]
    port = free_port()
    environment[setting] = f"{scheme}://someone:{CANARY}@127.0.0.1:{port}/0"
    done = command(package, "run", "--metrics-port", "0", environment=environment)
    assert done.returncode == 3
    assert f"127.0.0.1:{port}" in done.stderr
    assert CANARY not in done.stdout + done.stderr


def test_port_that_is_taken(environment: dict[str, str]) -> None:
    with _listener() as port:
        done = command("indexer", "run", "--metrics-port", str(port), environment=environment)
    assert done.returncode == 3
    assert str(port) in done.stderr
    assert "metrics-port" in done.stderr or "METRICS_PORT" in done.stderr


@contextmanager
def _listener() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


@pytest.mark.parametrize(
    ("name", "value"), [("WORKERS", "many"), ("WORKERS", "0"), ("LOG_LEVEL", "loud")]
)
def test_setting_that_is_not_allowed(environment: dict[str, str], name: str, value: str) -> None:
    environment[name] = value
    done = command("sync", "run", environment=environment)
    assert done.returncode == 2
    assert f"{name}={value!r}" in done.stderr
    assert f"environment {name}" in done.stderr


def test_status_as_json_is_json(environment: dict[str, str]) -> None:
    """Whatever goes wrong elsewhere, programs can read what `--json` prints."""
    for package in ("crawler", "indexer", "sync"):
        done = command(package, "status", "--json", environment=environment)
        assert done.returncode == 0, done.stderr
        json.loads(done.stdout)
