"""The test servers keep what they promise to the tests that use them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request

import aiormq
import asyncpg
import psutil
import pytest
import redis

from shared.jobs import new_job
from shared.queue.factory import create_queue
from shared.queue.port import QueueSettings
from tests.services.kafka import Kafka
from tests.services.rabbitmq import RabbitMQ
from tests.services.servers import Postgres, Redis


def test_redis_is_empty_for_each_test(any_redis_url: str) -> None:
    with redis.Redis.from_url(any_redis_url) as client:
        assert client.dbsize() == 0
        client.set("left", "over")


def test_redis_is_empty_again(any_redis_url: str) -> None:
    with redis.Redis.from_url(any_redis_url) as client:
        assert client.dbsize() == 0


async def test_database_is_fresh(any_database_url: str) -> None:
    connection = await asyncpg.connect(any_database_url)
    await connection.execute("CREATE TABLE only_once (id int)")
    await connection.close()


async def test_database_is_fresh_again(any_database_url: str) -> None:
    connection = await asyncpg.connect(any_database_url)
    await connection.execute("CREATE TABLE only_once (id int)")
    await connection.close()


@pytest.mark.parametrize("how", ["restart", "kill"])
def test_redis_keeps_port_and_data(valkey_server: Redis, how: str) -> None:
    with redis.Redis.from_url(valkey_server.url) as client:
        client.set("kept", "yes")
        client.config_set("appendfsync", "always")
        client.set("kept", "surely")
    url = valkey_server.url
    if how == "kill":
        valkey_server.kill()
        assert valkey_server.pid is None
        valkey_server.start()
    else:
        valkey_server.restart()
    with redis.Redis.from_url(url) as client:
        assert client.get("kept") == b"surely"


@pytest.mark.parametrize("how", ["restart", "kill"])
async def test_postgres_keeps_port_and_data(postgres_server: Postgres, how: str) -> None:
    connection = await asyncpg.connect(postgres_server.url)
    await connection.execute("CREATE TABLE kept (id int)")
    await connection.close()
    if how == "kill":
        postgres_server.kill()
        postgres_server.start()
    else:
        postgres_server.restart()
    connection = await asyncpg.connect(postgres_server.url)
    assert await connection.fetchval("SELECT count(*) FROM kept") == 0
    await connection.close()


def test_elasticsearch_is_the_version_we_test(elasticsearch_url: str, index_prefix: str) -> None:
    with urllib.request.urlopen(f"{elasticsearch_url}/_nodes/_local", timeout=30) as answer:
        nodes = json.load(answer)["nodes"]
    assert [node["version"] for node in nodes.values()] == ["9.5.0"]
    made = urllib.request.Request(f"{elasticsearch_url}/{index_prefix}-x", method="PUT")
    with urllib.request.urlopen(made, timeout=30) as answer:
        assert answer.status == 200


async def test_kafka_keeps_port_and_data(kafka_server: Kafka) -> None:
    settings = QueueSettings(name="kept")
    queue = create_queue(settings, kafka_server.url)
    await queue.publish([new_job("job", 1)])
    await queue.close()
    kafka_server.restart()
    queue = create_queue(settings, kafka_server.url)
    assert (await queue.depth()).ready == 1
    await queue.close()


async def test_rabbitmq_is_the_version_we_test(rabbitmq_url: str) -> None:
    async with aiormq.connect(rabbitmq_url) as connection:
        assert str(connection.server_properties["version"]).startswith("3.10.")


def test_a_killed_rabbitmq_leaves_no_process_behind(rabbitmq_server: RabbitMQ) -> None:
    node, mapper = rabbitmq_server.pid, rabbitmq_server.port_mapper_pid
    assert psutil.pid_exists(node or 0)
    assert psutil.pid_exists(mapper or 0)
    rabbitmq_server.kill()
    left = [each for each in (node, mapper) if psutil.pid_exists(each or 0)]
    assert rabbitmq_server.pid is None
    assert not left


SETTINGS = ["WORKERS", "LOG_LEVEL", "REDIS_ADDR", "DATABASE_URL", "QUEUE_KEY", "PGPASSWORD"]


def test_settings_of_the_user_are_hidden() -> None:
    assert not [name for name in SETTINGS if name in os.environ]
    assert "PATH" in os.environ


def test_settings_are_hidden_when_the_user_has_some() -> None:
    test = f"{__file__}::test_settings_of_the_user_are_hidden"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", test],
        capture_output=True,
        text=True,
        env=os.environ | dict.fromkeys(SETTINGS, "3"),
    )
    assert done.returncode == 0, done.stdout
