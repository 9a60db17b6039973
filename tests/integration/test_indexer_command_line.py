"""worker-indexer as its users run it: as processes, with jobs pushed by hand."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis

from shared.embedded.server_process import free_port
from tests.acceptance.worker_process import WorkerProcess, until
from tests.integration.indexer_world import indexer_world

NAMES = [f"n{number}" for number in range(40)]


@pytest.fixture
def environment(redis_url: str, database_url: str, tmp_path: Path) -> dict[str, str]:
    """Settings of a laptop: Redis, Postgres and the embedded index."""
    return {
        "PATH": os.environ["PATH"],
        "REDIS_URL": redis_url,
        "DATABASE_URL": database_url,
        "TANTIVY_DIR": str(tmp_path / ("deep" * 30) / "index"),
    }


@pytest.fixture
def worker(environment: dict[str, str], tmp_path: Path) -> Iterator[WorkerProcess]:
    worker = WorkerProcess("indexer", environment, free_port(), tmp_path / "worker.log")
    worker.start()
    yield worker
    assert worker.process is not None
    if worker.process.poll() is None:
        worker.process.kill()
        worker.process.wait()


def _command(environment: Mapping[str, str], *words: str) -> tuple[int, Any]:
    """Run a command; return its exit code and what it printed for programs."""
    done = subprocess.run(
        [sys.executable, "-m", "indexer", *words, "--json"],
        env=environment,
        capture_output=True,
        timeout=50,
    )
    return done.returncode, msgspec.json.decode(done.stdout) if done.stdout else done.stderr


def _push(url: str, job_type: str, *names: str, **more: str) -> None:
    """Push jobs as other programs do: all with one id, every second as Go spells the fields."""
    with redis.Redis.from_url(url) as client:
        for number, name in enumerate(names):
            fields = ("ID", "Type", "Payload") if number % 2 else ("id", "type", "payload")
            payload = {"document_id": name, **more}
            message = dict(zip(fields, ("1", job_type, payload), strict=True))
            client.lpush("indexer:jobs", msgspec.json.encode(message))


def _until_agreed(environment: Mapping[str, str]) -> None:
    until("index and Postgres agree", lambda: _command(environment, "verify")[0] == 0, 40)


def _change(url: str, *, put: tuple[str, ...] = (), remove: tuple[str, ...] = ()) -> None:
    async def change() -> None:
        async with indexer_world(url) as world:
            await world.put(*put)
            await world.remove(*remove)

    asyncio.run(change())


def test_jobs_reach_the_index_and_the_commands_work_beside_the_worker(
    worker: WorkerProcess, environment: dict[str, str]
) -> None:
    _change(environment["DATABASE_URL"], put=tuple(NAMES))
    assert _command(environment, "verify", "--lag-seconds", "0")[0] == 5
    _push(environment["REDIS_URL"], "index_document", *NAMES)
    _push(environment["REDIS_URL"], "index_document", "n1", source="typo")
    _until_agreed(environment)
    code, found = _command(environment, "search", "doc n7")
    assert (code, found["hits"][0]["key"]["id"]) == (0, "n7")

    code, report = _command(environment, "reindex")
    assert (code, report["swapped"], report["documents"]) == (0, True, 40)
    _change(environment["DATABASE_URL"], remove=("n7",))
    _push(environment["REDIS_URL"], "delete_document", "n7", "n8")
    _until_agreed(environment)
    assert _command(environment, "search", '"doc n8"')[1]["total"] == 1

    assert _command(environment, "reindex", "--rollback") == (0, {"live": 1})
    _until_agreed(environment)
    code, status = _command(environment, "status")
    assert [g["documents"] for g in status["generations"]] == [39, 39]
    metrics = worker.metrics()
    assert metrics['indexer_documents_total{result="delete_refused"}'] == 1
    assert metrics['indexer_documents_total{result="indexed"}'] >= 40
    assert worker.process is not None
    worker.process.send_signal(signal.SIGTERM)
    assert worker.process.wait(30) == 0


def test_stamps_outlive_a_killed_worker(worker: WorkerProcess, environment: dict[str, str]) -> None:
    _change(environment["DATABASE_URL"], put=tuple(NAMES))
    _push(environment["REDIS_URL"], "index_document", *NAMES)
    _until_agreed(environment)
    assert worker.process is not None
    worker.process.kill()
    worker.process.wait()
    # Without an owner, a command takes its place for as long as it runs.
    assert _command(environment, "search", '"doc n3"')[1]["total"] == 1
    _change(environment["DATABASE_URL"], put=("n3",), remove=("n4",))
    _push(environment["REDIS_URL"], "index_document", "n3", "n4")
    worker.start()
    _until_agreed(environment)
    assert _command(environment, "search", '"doc n4"')[1]["total"] == 0


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"DATABASE_URL": ""}, 2, "DATABASE_URL is not set"),
        ({"DATABASE_URL": "postgresql://u:canary@127.0.0.1:9/x"}, 3, "127.0.0.1:9"),
        ({"SEARCH_BACKEND": "elasticsearch"}, 2, "ELASTICSEARCH_URL"),
        ({"ELASTICSEARCH_URL": "http://u:canary@127.0.0.1:9"}, 3, "ELASTICSEARCH_URL"),
        ({"ELASTICSEARCH_URL": "http://u:canary@localhost"}, 2, "scheme, host and port"),
        ({"ELASTICSEARCH_URL": "u:canary@localhost"}, 2, "scheme, host and port"),
        ({"INDEX_NAME": "UPPER"}, 2, "INDEX_NAME"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_without_secrets(
    environment: dict[str, str], change: dict[str, str], code: int, words: str
) -> None:
    found, said = _command(environment | change, "verify")
    assert found == code
    assert words in said.decode()
    assert "canary" not in said.decode()
    assert "Traceback" not in said.decode()


def test_generations_that_are_not_there_are_refused(environment: dict[str, str]) -> None:
    for command in (("drop", "1"), ("drop", "9")):
        done = subprocess.run(
            [sys.executable, "-m", "indexer", *command], env=environment, capture_output=True
        )
        assert done.returncode == 2
        assert b"cannot drop" in done.stderr
    code, said = _command(environment, "reindex", "--rollback")
    assert code == 2
    assert b"no generation before 1" in said
