"""Fixtures that give tests real servers, and an environment without the user's settings.

Servers of one test process are shared and emptied between tests; a fixture whose name ends in
`_server` is a private one, for tests that stop or kill it.
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import tempfile
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
import redis

from shared.embedded.postgres import wheel_programs
from tests.faults.disks import why_not
from tests.services import servers, shared_server
from tests.services.elasticsearch import Elasticsearch
from tests.services.environment import is_setting
from tests.services.kafka import Kafka
from tests.services.missing import impossible
from tests.services.nats import Nats
from tests.services.rabbitmq import RabbitMQ
from tests.services.redis_cluster import RedisCluster
from tests.services.servers import Postgres, Redis

_SESSION = "TEST_SESSION"  # directory and process id of the session, for all its processes
pytest_plugins = ("tests.services.no_skips",)

Server = TypeVar("Server", Redis, Postgres, Elasticsearch, RabbitMQ, Nats, Kafka)
_database_numbers = itertools.count()


def pytest_configure(config: pytest.Config) -> None:
    """Name the session's directory and controller once, before xdist starts its processes."""
    if not hasattr(config, "workerinput"):
        directory = _open_directory(Path(tempfile.gettempdir()), "worker-suite-test")
        os.environ[_SESSION] = f"{os.getpid()}:{directory}"


def pytest_unconfigure(config: pytest.Config) -> None:
    """End what all processes of the session shared."""
    if not hasattr(config, "workerinput"):
        _, directory = _session()
        shared_server.stop_all(directory)
        shutil.rmtree(directory, ignore_errors=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what was said to be impossible, and begin with the longest."""
    if os.environ.get("WITHOUT_DISKS"):  # no right to mount: .ci/run has looked, and said so
        broken = [item for item in items if "disks" in getattr(item, "fixturenames", ())]
        config.hook.pytest_deselected(items=broken)
        items[:] = [item for item in items if item not in broken]
    items.sort(key=_longest_first)


def _longest_first(item: pytest.Item) -> float:
    """Begin with the longest of the slow tests, so that it is not what the others wait for."""
    timeout = item.get_closest_marker("timeout")
    slow = item.get_closest_marker("slow") is not None
    return -float(timeout.args[0]) if slow and timeout and timeout.args else 0.0


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests measured, also those that xdist ran in another process."""
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        if report.when == "call":
            for name, line in report.user_properties:
                if name == "figures":
                    terminalreporter.write_line(str(line))


def _session() -> tuple[int, Path]:
    controller, _, directory = os.environ[_SESSION].partition(":")
    return int(controller), Path(directory)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if is_setting(name):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def new_directory() -> Iterator[Callable[[str], Path]]:
    """Make directories that go with this process's session."""
    _, session = _session()
    own = _open_directory(session, "process")
    yield lambda name: _open_directory(own, name)
    shutil.rmtree(own, ignore_errors=True)


def _open_directory(parent: Path, name: str) -> Path:
    made = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=parent))
    made.chmod(0o711)  # servers that refuse root get through as another user
    return made


@pytest.fixture(scope="session")
def _why_no_disks(new_directory: Callable[[str], Path]) -> str:
    return why_not(new_directory("disk"))


@pytest.fixture
def disks(_why_no_disks: str) -> None:
    """Nothing, where disks can be made and broken; a test that uses them cannot run elsewhere."""
    if _why_no_disks:
        impossible("a disk that breaks", _why_no_disks)


# --- Redis -------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def _valkey(new_directory: Callable[[str], Path]) -> Iterator[Redis]:
    yield from _until_killed(servers.valkey(new_directory("valkey")))


@pytest.fixture(scope="session")
def _redis7(new_directory: Callable[[str], Path]) -> Iterator[Redis]:
    yield from _until_killed(servers.redis7(new_directory("redis7")))


@pytest.fixture
def redis_url(_valkey: Redis) -> str:
    """URL of an empty Valkey 9.1."""
    return _emptied(_valkey)


@pytest.fixture
def redis7_url(_redis7: Redis) -> str:
    """URL of an empty Redis 7.0, append-only every second."""
    return _emptied(_redis7)


@pytest.fixture(scope="session")
def _redis_cluster(new_directory: Callable[[str], Path]) -> Iterator[RedisCluster]:
    cluster = RedisCluster(new_directory("cluster"))
    cluster.start()
    yield cluster
    cluster.kill()


@pytest.fixture
def redis_cluster_url(_redis_cluster: RedisCluster) -> str:
    """URL of an empty Redis Cluster of three nodes."""
    _redis_cluster.flush()
    return _redis_cluster.url


@pytest.fixture(params=["valkey9", "redis7"])
def any_redis_url(request: pytest.FixtureRequest) -> str:
    """URL of an empty server of either kind."""
    name = "redis_url" if request.param == "valkey9" else "redis7_url"
    return str(request.getfixturevalue(name))


@pytest.fixture
def valkey_server(new_directory: Callable[[str], Path]) -> Iterator[Redis]:
    """A private Valkey 9.1."""
    yield from _until_killed(servers.valkey(new_directory("valkey")))


@pytest.fixture
def redis7_server(new_directory: Callable[[str], Path]) -> Iterator[Redis]:
    """A private Redis 7.0."""
    yield from _until_killed(servers.redis7(new_directory("redis7")))


def _emptied(server: Redis) -> str:
    with redis.Redis.from_url(server.url) as client:
        client.flushall()
        client.script_flush()
    return server.url


# --- NATS --------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def _nats(new_directory: Callable[[str], Path]) -> Iterator[Nats]:
    # Not synced: no test that shares this server cuts the machine's power.
    server = Nats(new_directory("nats"), sync="2m")
    server.start()
    yield from _until_killed(server)


@pytest.fixture
def nats_url(_nats: Nats) -> str:
    """URL of a NATS server with JetStream that tests share: each uses queue names of its own."""
    return _nats.url


@pytest.fixture
def nats_server(new_directory: Callable[[str], Path]) -> Iterator[Nats]:
    """A private NATS server that syncs every write."""
    server = Nats(new_directory("nats"))
    server.start()
    yield from _until_killed(server)


# --- Postgres ----------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def _postgres18(new_directory: Callable[[str], Path]) -> Iterator[Postgres]:
    yield from _until_killed(servers.postgres18(new_directory("postgres18")))


@pytest.fixture(scope="session")
def _postgres15(new_directory: Callable[[str], Path]) -> Iterator[Postgres]:
    yield from _until_killed(servers.postgres15(new_directory("postgres15")))


@pytest.fixture
def database_url(_postgres18: Postgres) -> Iterator[str]:
    """URL of a fresh, empty database on Postgres 18."""
    yield from _fresh_database(_postgres18)


@pytest.fixture(scope="session")
def queue_database_url(_postgres18: Postgres) -> str:
    """URL of a database on Postgres 18 that tests of queues share: each uses names of its own."""
    _sql(_postgres18, "CREATE DATABASE queues STRATEGY file_copy")
    return _postgres18.url_of("queues")


@pytest.fixture
def database15_url(_postgres15: Postgres) -> Iterator[str]:
    """URL of a fresh, empty database on Postgres 15."""
    yield from _fresh_database(_postgres15)


@pytest.fixture(params=["postgres18", "postgres15"])
def any_database_url(request: pytest.FixtureRequest) -> str:
    """URL of a fresh, empty database on either version."""
    name = "database_url" if request.param == "postgres18" else "database15_url"
    return str(request.getfixturevalue(name))


@pytest.fixture
def postgres_server(new_directory: Callable[[str], Path]) -> Iterator[Postgres]:
    """A private Postgres 18."""
    yield from _until_killed(servers.postgres18(new_directory("postgres18")))


@pytest.fixture
def postgres15_server(new_directory: Callable[[str], Path]) -> Iterator[Postgres]:
    """A private Postgres 15."""
    yield from _until_killed(servers.postgres15(new_directory("postgres15")))


def _fresh_database(server: Postgres) -> Iterator[str]:
    name = f"test_{next(_database_numbers)}"
    _sql(server, f"CREATE DATABASE {name} STRATEGY file_copy")
    yield server.url_of(name)
    _sql(server, f"DROP DATABASE {name} WITH (FORCE)")


def _sql(server: Postgres, statement: str) -> None:
    psql = [str(wheel_programs() / "psql"), "--no-psqlrc", "--quiet", server.url]
    subprocess.run([*psql, "--command", statement], check=True)


# --- Elasticsearch -----------------------------------------------------------------------------


@pytest.fixture(scope="session")
def _elasticsearch() -> str:
    controller, directory = _session()
    return shared_server.shared_url("elasticsearch", directory, controller)


@pytest.fixture
def index_prefix() -> str:
    """Return a prefix for index and alias names that no other test uses."""
    return f"t{uuid.uuid4().hex[:12]}"


@pytest.fixture
def elasticsearch_url(_elasticsearch: str, index_prefix: str) -> Iterator[str]:
    """URL of the Elasticsearch that all tests share; indices with `index_prefix` go afterwards."""
    yield _elasticsearch
    wildcard = f"{_elasticsearch}/{index_prefix}*?expand_wildcards=all&ignore_unavailable=true"
    urllib.request.urlopen(urllib.request.Request(wildcard, method="DELETE"), timeout=30).close()


@pytest.fixture
def elasticsearch_server(new_directory: Callable[[str], Path]) -> Iterator[Elasticsearch]:
    """A private Elasticsearch; takes about 10 s to start."""
    server = Elasticsearch(new_directory("elasticsearch"))
    server.start()
    yield from _until_killed(server)


# --- RabbitMQ ----------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def rabbitmq_url() -> str:
    """URL of the RabbitMQ that all tests share; each takes queue names of its own."""
    controller, directory = _session()
    return shared_server.shared_url("rabbitmq", directory, controller)


@pytest.fixture
def rabbitmq_server(new_directory: Callable[[str], Path]) -> Iterator[RabbitMQ]:
    """A private RabbitMQ; takes about 5 s to start."""
    server = RabbitMQ(new_directory("rabbitmq"))
    server.start()
    yield from _until_killed(server)


@pytest.fixture(scope="session")
def kafka_url() -> str:
    """URL of the Kafka that all tests share; each takes queue names of its own."""
    controller, directory = _session()
    return shared_server.shared_url("kafka", directory, controller)


@pytest.fixture(scope="session")
def kafka_node(kafka_url: str) -> Path:
    """Directory of the server of `kafka_url`; see tests/services/kafka_secure.py."""
    return _session()[1] / "kafka" / "node"


@pytest.fixture
def kafka_server(new_directory: Callable[[str], Path]) -> Iterator[Kafka]:
    """A private Kafka; takes about 5 s to start."""
    server = Kafka(new_directory("kafka"))
    server.start()
    yield from _until_killed(server)


def _until_killed(server: Server) -> Iterator[Server]:
    yield server
    server.kill()
