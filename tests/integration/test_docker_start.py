"""The commands of the Dockerfile, run without Docker, give workers that start and stop well."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shared.embedded.postgres import PostgresServer
from shared.embedded.server_process import free_port
from tests.services.dockerfile import Build, stages

PROJECT = Path(__file__).parents[2]
HEALTHY_WITHIN_SECONDS = 60.0
FINAL_STAGE = stages(PROJECT / "docker" / "Dockerfile")[-1]


@pytest.fixture(scope="module")
def image(new_directory: Callable[[str], Path]) -> Build:
    """What the build stage makes, and what the final stage copies beside it."""
    build_stage = stages(PROJECT / "docker" / "Dockerfile")[0]
    build = Build(PROJECT, new_directory("image"))
    build.follow(build_stage)
    for line in FINAL_STAGE.all("COPY"):
        if "--from" not in line:
            (build.app / "healthcheck.py").write_bytes((PROJECT / line.split()[0]).read_bytes())
    return build


@pytest.fixture
def environment(
    image: Build, redis_url: str, database_url: str, elasticsearch_url: str
) -> dict[str, str]:
    """What `docker run -e ...` would set, on top of the image's own."""
    return image.environment(FINAL_STAGE) | {
        "REDIS_URL": redis_url,
        "DATABASE_URL": database_url,
        "ELASTICSEARCH_URL": elasticsearch_url,
        "METRICS_PORT": str(free_port()),
        "METRICS_HOST": "127.0.0.1",
    }


@pytest.fixture
def durable_database_url(new_directory: Callable[[str], Path]) -> Iterator[str]:
    """A Postgres as users have it, with fsync on."""
    server = PostgresServer(new_directory("durable"))
    server.start()
    yield server.url
    server.kill()


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize("worker", ["worker-crawler", "worker-indexer", "worker-sync"])
def test_worker_comes_up_healthy_and_stops(
    image: Build, environment: dict[str, str], worker: str
) -> None:
    command = [*_as_image_user(), worker, *FINAL_STAGE.command("CMD")[1:]]
    process = subprocess.Popen(command, env=environment, cwd=image.app)
    try:
        probe = [image.moved(part) for part in FINAL_STAGE.command("HEALTHCHECK")]
        _wait_until_healthy(process, probe, environment)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_image_can_examine_its_servers(
    image: Build, environment: dict[str, str], durable_database_url: str
) -> None:
    environment |= {"DATABASE_URL": durable_database_url}
    command = [*_as_image_user(), "workers", "doctor", "--json", "--data-dir", "/tmp"]
    done = subprocess.run(command, env=environment, cwd=image.app, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["healthy"] is True


def test_health_check_fails_where_no_worker_is() -> None:
    probe = PROJECT / "docker" / "healthcheck.py"
    environment = {**os.environ, "METRICS_PORT": str(free_port())}
    assert subprocess.run(["python3", probe], env=environment).returncode == 1


def _wait_until_healthy(
    process: subprocess.Popen[bytes], probe: list[str], environment: dict[str, str]
) -> None:
    deadline = time.monotonic() + HEALTHY_WITHIN_SECONDS
    while subprocess.run(probe, env=environment).returncode != 0:
        assert process.poll() is None, f"it ended with exit code {process.returncode}"
        assert time.monotonic() < deadline, "it did not become healthy"
        time.sleep(0.2)


def _as_image_user() -> list[str]:
    """Become a user who may read everything and write nothing, as on a read-only file system."""
    if os.geteuid() != 0:
        return []
    capability = "+dac_read_search"
    options = [f"--inh-caps={capability}", f"--ambient-caps={capability}", "--clear-groups"]
    return ["setpriv", "--reuid=10001", "--regid=10001", *options]
