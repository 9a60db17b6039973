"""worker-sync as its users run it: commands, exit codes, and the worker as a process."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import redis
from click.testing import CliRunner, Result

from shared.embedded.server_process import free_port
from sync.__main__ import main
from tests.integration.sync_world import TABLES

CANARY = "canary-51c0-password"

SOURCE = """\
source: recipes
table: shop.recipes
key: id
documents: |
  SELECT id::text, jsonb_build_object('title', title) FROM shop.recipes
  WHERE id = ANY ($1::bigint[])
"""

Command = Callable[..., Result]


def sql(url: str, statement: str) -> Any:
    async def run() -> Any:
        connection = await asyncpg.connect(url)
        try:
            if statement.startswith("SELECT"):
                return await connection.fetchval(statement)
            return await connection.execute(statement)
        finally:
            await connection.close()

    return asyncio.run(run())


@pytest.fixture
def command(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.setenv("DATABASE_URL", database_url)
    sql(database_url, TABLES)
    return lambda *arguments: CliRunner().invoke(main, [str(each) for each in arguments])


@pytest.fixture
def source_file(tmp_path: Path) -> Path:
    path = tmp_path / "recipes.yaml"
    path.write_text(SOURCE)
    return path


def test_install_status_uninstall(command: Command, source_file: Path, database_url: str) -> None:
    sql(database_url, "INSERT INTO shop.recipes VALUES (1, 'soup'), (2, 'bread')")
    installed = command("install", "--json", source_file)
    assert json.loads(installed.stdout) == [{"source": "recipes", "backfilled": 2}]
    status = json.loads(command("status", "--json").stdout)
    assert status["outbox_depth"] == 2
    assert status["oldest_age_seconds"] > 0
    assert status["last_relay_seconds_ago"] is None
    assert status["sources"] == [
        {"source": "recipes", "tables": ["shop.recipes"], "backfilled": True}
    ]
    shown = command("status").stdout
    assert "Changes waiting: 2, the oldest for" in shown
    assert "recipes from shop.recipes" in shown
    assert command("uninstall", "recipes").stdout == "recipes: uninstalled.\n"
    assert json.loads(command("status", "--json").stdout)["sources"] == []


def test_dry_run_prints_what_install_would_run_and_changes_nothing(
    command: Command, source_file: Path, database_url: str
) -> None:
    printed = command("install", "--dry-run", source_file)
    assert printed.exit_code == 0
    assert 'AFTER INSERT ON "shop"."recipes"' in printed.stdout
    assert sql(database_url, "SELECT count(*) FROM worker_suite.sources") == 0
    assert sql(database_url, "SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal") == 0
    sql(database_url, printed.stdout)
    assert sql(database_url, "SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal") == 4


def test_a_broken_file_is_refused_with_file_line_and_field(
    command: Command, source_file: Path
) -> None:
    source_file.write_text(SOURCE.replace("key: id", "key: id\nkee: id"))
    result = command("install", source_file)
    assert result.exit_code == 2
    assert f"{source_file}:4: kee: " in result.stderr


def test_a_table_that_is_not_there_is_refused(command: Command, source_file: Path) -> None:
    source_file.write_text(SOURCE.replace("table: shop.recipes", "table: shop.nothing"))
    result = command("install", source_file)
    assert (result.exit_code, "no table nothing in shop" in result.stderr) == (2, True)


def test_all_files_are_read_before_the_first_is_installed(
    command: Command, source_file: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text("source: [")
    assert command("install", source_file, broken).exit_code == 2
    assert json.loads(command("status", "--json").stdout)["sources"] == []


def test_uninstalling_what_is_not_installed_names_what_is(command: Command) -> None:
    result = command("uninstall", "recipes")
    assert result.exit_code == 2
    assert "installed are: none" in result.stderr


def test_without_a_database_url_the_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    result = CliRunner().invoke(main, ["status"])
    assert result.exit_code == 2
    assert "DATABASE_URL is not set" in result.stderr


def test_a_server_that_is_missing_is_said_without_the_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DATABASE_URL", f"postgresql://user:{CANARY}@127.0.0.1:{free_port()}/db")
    result = CliRunner().invoke(main, ["status"])
    assert result.exit_code == 3
    assert "cannot be reached" in result.stderr
    assert CANARY not in result.output


EXAMPLE = Path(__file__).parents[2] / "examples" / "own_table"


def test_the_example_of_a_users_own_table_works(command: Command, database_url: str) -> None:
    sql(database_url, (EXAMPLE / "schema.sql").read_text(encoding="utf-8"))
    installed = command("install", "--json", EXAMPLE / "source.yaml")
    assert json.loads(installed.stdout) == [{"source": "tools", "backfilled": 4}]
    sql(database_url, "UPDATE reviews SET said = 'changed' WHERE tool_id = 3")
    waiting = "SELECT array_agg(id ORDER BY seq) FROM worker_suite.outbox"
    assert sql(database_url, waiting) == ["1", "2", "3", "4", "3"]


class Worker:
    """`python -m sync run` as a process."""

    def __init__(self, database_url: str, redis_url: str) -> None:
        self.port = free_port()
        environment = os.environ | {"DATABASE_URL": database_url, "REDIS_URL": redis_url}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "sync", "run", f"--metrics-port={self.port}"],
            env=environment,
            cwd=Path(__file__).parents[2],
            stderr=subprocess.PIPE,
            text=True,
        )

    def get(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
            return str(answer.read().decode())

    def metric(self, name: str) -> float:
        found = re.search(rf"^{re.escape(name)} (\S+)$", self.get("/metrics"), re.MULTILINE)
        assert found is not None, name
        return float(found[1])

    def end(self) -> str:
        self.process.send_signal(signal.SIGTERM)
        _, log = self.process.communicate(timeout=30)
        return log


@pytest.fixture
def start(database_url: str, redis_url: str) -> Iterator[Callable[[], Worker]]:
    workers: list[Worker] = []

    def start() -> Worker:
        workers.append(Worker(database_url, redis_url))
        until(lambda: "ok" in workers[-1].get("/health/ready"))
        return workers[-1]

    yield start
    for worker in workers:
        worker.process.kill()
        worker.process.communicate()


def until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    ends = time.monotonic() + seconds
    while not _comes_true(condition):
        assert time.monotonic() < ends, "the condition never came true"
        time.sleep(0.05)


def _comes_true(condition: Callable[[], bool]) -> bool:
    try:
        return condition()
    except OSError:
        return False  # the port is not open yet


def test_the_worker_relays_counts_and_ends_on_sigterm(
    command: Command,
    source_file: Path,
    database_url: str,
    redis_url: str,
    start: Callable[[], Worker],
) -> None:
    command("install", source_file)
    worker = start()
    sql(database_url, "INSERT INTO shop.recipes SELECT n, 'r' FROM generate_series(1, 50) n")
    until(lambda: worker.metric("sync_changes_relayed_total") == 50)
    assert worker.metric('sync_jobs_total{result="accepted"}') == 50
    assert worker.metric("sync_outbox_depth") >= 0
    assert worker.metric("sync_lag_seconds") >= 0
    log = worker.end()
    assert worker.process.returncode == 0, log
    with redis.Redis.from_url(redis_url) as client:
        assert any(b"indexer:jobs" in key for key in client.keys("*"))


def test_a_worker_that_is_killed_in_full_work_loses_nothing(
    command: Command,
    source_file: Path,
    database_url: str,
    start: Callable[[], Worker],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    command("install", source_file)
    sql(database_url, "INSERT INTO shop.recipes SELECT n, 'r' FROM generate_series(1, 20000) n")
    monkeypatch.setenv("RELAY_BATCH", "20")
    worker = start()
    until(lambda: worker.metric("sync_changes_relayed_total") > 0)
    worker.process.kill()
    worker.process.wait()
    waiting = "SELECT count(*) FROM worker_suite.outbox"
    assert sql(database_url, waiting) > 0
    monkeypatch.setenv("RELAY_BATCH", "1000")
    worker = start()
    until(lambda: bool(sql(database_url, waiting) == 0))
    sent = "SELECT count(DISTINCT id) FROM worker_suite.outbox_sent"
    assert sql(database_url, sent) == 20_000
    assert worker.end() is not None
    assert worker.process.returncode == 0


def test_a_missing_redis_ends_the_worker_with_its_exit_code(database_url: str) -> None:
    worker = Worker(database_url, f"redis://:{CANARY}@127.0.0.1:{free_port()}/0")
    _, log = worker.process.communicate(timeout=30)
    assert worker.process.returncode == 3
    assert CANARY not in log
