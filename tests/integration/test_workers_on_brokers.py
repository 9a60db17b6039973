"""The workers with QUEUE_URL on other brokers than Redis, as processes of their own."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest

from shared.embedded.server_process import free_port
from tests.acceptance.worker_process import WorkerProcess, command, until
from tests.contracts.queue.brokers import BROKERS
from tests.integration.sync_world import TABLES

SOURCE = """\
source: recipes
table: shop.recipes
key: id
documents: |
  SELECT id::text, jsonb_build_object('title', title) FROM shop.recipes
  WHERE id = ANY ($1::bigint[])
"""


@pytest.fixture(params=["nats", "kafka", "rabbitmq"])
def broker(request: pytest.FixtureRequest) -> str:
    """Name each broker in turn."""
    return str(request.param)


@pytest.fixture
def environment(
    request: pytest.FixtureRequest, broker: str, database_url: str, tmp_path: Path
) -> dict[str, str]:
    """Settings with a broker for the jobs, and no Redis."""
    return {
        "PATH": os.environ["PATH"],
        "QUEUE_URL": request.getfixturevalue(f"{broker}_url"),
        "QUEUE_KEY": f"index-{tmp_path.name[-40:]}".replace("_", "-"),
        "REDIS_URL": f"redis://127.0.0.1:{free_port()}/0",
        "DATABASE_URL": database_url,
        "DEFAULT_SOURCE": "recipes",
        "TANTIVY_DIR": str(tmp_path / "index"),
    }


def test_a_change_reaches_the_index(environment: dict[str, str], tmp_path: Path) -> None:
    _sql(environment, TABLES)
    file = tmp_path / "recipes.yaml"
    file.write_text(SOURCE)
    installed = command("sync", "install", str(file), environment=environment)
    assert installed.returncode == 0, installed.stderr
    with _running(environment, tmp_path, "indexer", "sync"):
        _sql(environment, "INSERT INTO shop.recipes VALUES (1, 'leek soup')")
        until("the new row is found", lambda: _hits(environment, "leek") == 1, 40, every=0.5)
        _sql(environment, "DELETE FROM shop.recipes")
        until("the deleted row is hidden", lambda: _hits(environment, "leek") == 0, 40, every=0.5)


async def test_a_seed_that_a_program_pushes_is_crawled(
    environment: dict[str, str], broker: str, redis_url: str, tmp_path: Path
) -> None:
    """The frontier is in Redis, whatever broker has the seeds."""
    producer = BROKERS[broker].harness(environment["QUEUE_URL"])
    environment |= {
        "REDIS_URL": redis_url,
        "SEEDS_KEY": producer.settings.name,
        "SEED_SCOPE": "host",
        "ALLOW_NETWORKS": "127.0.0.0/8",
    }
    seed = f"http://127.0.0.1:{free_port()}/nobody-answers"
    with _running(environment, tmp_path, "crawler"):
        await producer.push(seed.encode())
        found = f"SELECT count(*) FROM worker_suite.pages WHERE url = '{seed}'"
        async with asyncio.timeout(40):
            while not await _value(environment, found):
                await asyncio.sleep(0.05)
    await producer.close()


@contextmanager
def _running(environment: dict[str, str], directory: Path, *packages: str) -> Iterator[None]:
    with ExitStack() as ending:
        for package in packages:
            log = directory / f"{package}.log"
            worker = WorkerProcess(package, environment, free_port(), log)
            ending.callback(worker.end)
            worker.start()
        yield


def _hits(environment: dict[str, str], words: str) -> int:
    done = command("indexer", "search", words, "--json", environment=environment)
    assert done.returncode == 0, done.stderr
    return int(msgspec.json.decode(done.stdout)["total"])


def _sql(environment: dict[str, str], statement: str) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(environment["DATABASE_URL"])
        await connection.execute(statement)
        await connection.close()

    asyncio.run(run())


async def _value(environment: dict[str, str], query: str) -> Any:
    connection = await asyncpg.connect(environment["DATABASE_URL"])
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()
