"""The commands of the Dockerfile, run without Docker, give workers that start and stop well."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from shared.embedded.server_process import free_port
from tests.services.dockerfile import Build, stages

PROJECT = Path(__file__).parents[2]
HEALTHY_WITHIN_SECONDS = 30.0
# The image's user may read everything and write nothing, as on a read-only root file system.
_CAPABILITY = "+dac_read_search"
AS_IMAGE_USER = ["setpriv", "--reuid=10001", "--regid=10001", "--clear-groups"]
AS_IMAGE_USER += [f"--inh-caps={_CAPABILITY}", f"--ambient-caps={_CAPABILITY}"]


@pytest.fixture(scope="module")
def image(new_directory: Callable[[str], Path]) -> Build:
    """What the build stage makes, and what the final stage copies beside it."""
    build_stage, final_stage = stages(PROJECT / "docker" / "Dockerfile")
    build = Build(PROJECT, new_directory("image"))
    build.follow(build_stage)
    for line in final_stage.all("COPY"):
        if "--from" not in line:
            (build.app / "healthcheck.py").write_bytes((PROJECT / line.split()[0]).read_bytes())
    return build


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize("worker", ["worker-crawler", "worker-indexer", "worker-sync"])
def test_worker_comes_up_healthy_and_stops(
    image: Build, worker: str, redis_url: str, database_url: str, elasticsearch_url: str
) -> None:
    final_stage = stages(PROJECT / "docker" / "Dockerfile")[-1]
    environment = image.environment(final_stage) | {
        "REDIS_URL": redis_url,
        "DATABASE_URL": database_url,
        "ELASTICSEARCH_URL": elasticsearch_url,
        "METRICS_PORT": str(free_port()),
        "METRICS_HOST": "127.0.0.1",
    }
    user = AS_IMAGE_USER if os.geteuid() == 0 else []
    command = [worker, *final_stage.command("CMD")[1:]]
    process = subprocess.Popen([*user, *command], env=environment, cwd=image.app)
    try:
        probe = [image.moved(part) for part in final_stage.command("HEALTHCHECK")]
        _wait_until_healthy(process, probe, environment)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()


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
