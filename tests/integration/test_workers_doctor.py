"""`workers doctor` on real servers, healthy and not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
import redis
from click.testing import CliRunner

from shared.embedded.postgres import PostgresServer
from shared.embedded.server_process import free_port
from shared.errors import DependencyError
from shared.queue.factory import check_broker
from tests.services.servers import Postgres, Redis
from workers.__main__ import main
from workers.checks import elasticsearch_server, postgres_server, redis_server
from workers.checks.finding import Checkup


def said(checkup: Checkup, level: str) -> str:
    return "\n".join(finding.what for finding in checkup.findings if finding.level == level)


async def test_a_redis_that_keeps_what_it_gets_is_healthy(any_redis_url: str) -> None:
    checkup = await redis_server.check(any_redis_url)

    assert checkup.level == "ok"
    assert checkup.version.startswith(("9.", "7."))
    assert "everysec" in said(checkup, "ok")


@pytest.mark.parametrize(
    ("setting", "value", "level", "words"),
    [
        ("maxmemory-policy", "allkeys-lru", "error", "drops jobs in silence"),
        ("appendonly", "no", "warning", "loses every job since the last snapshot"),
        ("appendfsync", "no", "warning", "a power cut loses"),
    ],
)
async def test_a_redis_that_loses_jobs_is_named_with_what_to_do(
    valkey_server: Redis, setting: str, value: str, level: str, words: str
) -> None:
    with redis.Redis.from_url(valkey_server.url) as client:
        client.config_set(setting, value)

    checkup = await redis_server.check(valkey_server.url)

    assert checkup.level == level
    assert words in said(checkup, level)
    assert all(finding.advice for finding in checkup.findings if finding.level != "ok")


@pytest.fixture(scope="module")
def durable_postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """As users get it; the shared test servers run without fsync."""
    server = PostgresServer(tmp_path_factory.mktemp("postgres"))
    server.start()
    yield server
    server.stop()


async def test_a_postgres_that_keeps_commits_is_healthy(durable_postgres: PostgresServer) -> None:
    checkup = await postgres_server.check(durable_postgres.url)

    assert checkup.level == "ok", checkup.findings
    assert checkup.version.startswith("18")


async def test_a_postgres_that_can_lose_commits_is_named(postgres15_server: Postgres) -> None:
    connection = await asyncpg.connect(postgres15_server.url)
    for setting in ("fsync", "full_page_writes", "synchronous_commit"):
        await connection.execute(f"ALTER SYSTEM SET {setting} = off")
    await connection.execute("SELECT pg_reload_conf()")
    await connection.close()

    checkup = await postgres_server.check(postgres15_server.url)

    assert "fsync is off" in said(checkup, "error")
    assert "full_page_writes is off" in said(checkup, "error")
    assert "synchronous_commit is off" in said(checkup, "warning")


async def test_elasticsearch_names_its_version_and_health(elasticsearch_url: str) -> None:
    checkup = await elasticsearch_server.check(elasticsearch_url)

    assert checkup.version.startswith("9.")
    assert checkup.level in {"ok", "warning"}, checkup.findings
    assert "acknowledged" in said(checkup, "ok")


def test_missing_servers_give_exit_code_3_and_no_password(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    port = free_port()
    monkeypatch.setenv("REDIS_URL", f"redis://:hush-redis@127.0.0.1:{port}/0")
    monkeypatch.setenv("DATABASE_URL", f"postgresql://me:hush-postgres@127.0.0.1:{port}/db")
    monkeypatch.setenv("ELASTICSEARCH_URL", f"http://me:hush-elastic@127.0.0.1:{port}")
    monkeypatch.setenv("DATA_DIR", str(tmp_path))

    result = CliRunner().invoke(main, ["doctor"])
    as_json = CliRunner().invoke(main, ["doctor", "--json"])

    assert (result.exit_code, as_json.exit_code) == (3, 3)
    assert "hush" not in result.output + as_json.output
    found = {check["name"]: check["level"] for check in json.loads(as_json.output)["checks"]}
    assert found == {
        "This machine": "ok",
        "Redis": "error",
        "Postgres": "error",
        "Elasticsearch": "error",
    }


def test_a_healthy_set_gives_exit_code_0(
    monkeypatch: pytest.MonkeyPatch,
    redis_url: str,
    durable_postgres: PostgresServer,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.setenv("DATABASE_URL", durable_postgres.url)
    monkeypatch.setenv("DATA_DIR", str(tmp_path))

    result = CliRunner().invoke(main, ["doctor", "--json"])

    assert result.exit_code == 0, result.output
    assert json.loads(result.output)["healthy"] is True


def test_without_any_server_named_the_embedded_ones_are_healthy(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DATA_DIR", str(tmp_path))

    result = CliRunner().invoke(main, ["doctor"])

    assert result.exit_code == 0, result.output
    assert result.output.count("`workers up` starts its own") == 2


def test_a_data_directory_below_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    result = CliRunner().invoke(main, ["doctor", "--data-dir", str(tmp_path / "file" / "var")])

    assert result.exit_code == 3
    assert "cannot be written" in result.output


@pytest.mark.parametrize(
    ("server", "name", "version", "level", "words"),
    [
        ("nats", "NATS", "2.", "ok", "not visible from here: whether sync_interval is always"),
        ("rabbitmq", "RabbitMQ", "3.", "ok", "not visible from here: how many nodes"),
        ("kafka", "Kafka", "", "warning", "a power cut loses what was acknowledged last"),
    ],
)
def test_the_broker_of_the_queues_is_looked_at(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    server: str,
    name: str,
    version: str,
    level: str,
    words: str,
) -> None:
    monkeypatch.setenv("QUEUE_URL", request.getfixturevalue(f"{server}_url"))
    checks = json.loads(CliRunner().invoke(main, ["doctor", "--json"]).stdout)["checks"]
    (found,) = [each for each in checks if each["name"] == name]
    assert found["level"] == level, found
    assert found["version"].startswith(version)
    assert words in " ".join(each["what"] for each in found["findings"])


@pytest.mark.parametrize("scheme", ["nats", "tls", "amqp", "amqps", "kafka", "kafka+ssl"])
def test_a_broker_that_is_not_there_is_an_error_without_its_password(
    monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    monkeypatch.setenv("QUEUE_URL", f"{scheme}://user:canary-77@127.0.0.1:{free_port()}")
    said = CliRunner().invoke(main, ["doctor", "--json"])
    assert said.exit_code == 3
    assert "Start it, or set QUEUE_URL" in said.output
    assert "canary-77" not in said.output


@pytest.mark.parametrize("scheme", ["redis", "nats", "amqp", "kafka", "postgres"])
async def test_a_producer_does_not_start_without_its_broker(scheme: str) -> None:
    with pytest.raises(DependencyError) as raised:
        await check_broker(f"{scheme}://user:canary-77@127.0.0.1:{free_port()}")
    assert "canary-77" not in str(raised.value)


@pytest.mark.parametrize("server", ["redis", "nats", "rabbitmq", "kafka", "database"])
async def test_a_producer_starts_with_its_broker(
    request: pytest.FixtureRequest, server: str
) -> None:
    await check_broker(request.getfixturevalue(f"{server}_url"))
