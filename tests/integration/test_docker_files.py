"""The container files keep the promises that can be read off them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from shared.settings import WorkerSettings
from tests.services.dockerfile import stages

PROJECT = Path(__file__).parents[2]
DOCKERFILE = PROJECT / "docker" / "Dockerfile"
COMPOSE = PROJECT / "docker" / "compose.yaml"
WORKERS = ["crawler", "indexer", "sync"]
SERVERS = ["redis", "postgres", "elasticsearch"]


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    """The services of the compose file, anchors resolved."""
    found: dict[str, Any] = YAML(typ="safe").load(COMPOSE)["services"]
    return found


def test_hadolint_has_no_complaint() -> None:
    _tool("hadolint", str(DOCKERFILE))


def test_compose_file_follows_the_schema() -> None:
    _tool("check-jsonschema", "--builtin-schema", "vendor.compose-spec", str(COMPOSE))


def test_image_is_built_in_stages_and_does_not_run_as_root() -> None:
    build, final = stages(DOCKERFILE)
    assert final.all("USER") == ["10001:10001"]
    assert final.environment()["METRICS_HOST"] == "0.0.0.0"
    assert any("--from=build" in copied for copied in final.all("COPY"))
    installs = [run for run in build.all("RUN") if "--requirements" in run]
    assert installs
    assert all("--require-hashes" in run for run in installs)


def test_everything_copied_passes_the_ignore_file() -> None:
    allowed = (PROJECT / ".dockerignore").read_text().splitlines()
    copied = [
        source
        for stage in stages(DOCKERFILE)
        for line in stage.all("COPY")
        if "--from" not in line
        for source in line.split()[:-1]
    ]
    assert copied
    for source in copied:
        pattern = "requirements/*.lock" if source.endswith(".lock") else source.rstrip("/")
        assert f"!{pattern}" in allowed
        assert (PROJECT / source).exists()


@pytest.mark.parametrize("name", WORKERS)
def test_worker_service(services: dict[str, Any], name: str) -> None:
    service = services[name]
    assert service["command"] == [f"worker-{name}", "run"]
    assert service["environment"]["REDIS_ADDR"] == "redis:6379"
    assert service["environment"]["WORKERS"] == "10"
    assert service["environment"]["LOG_LEVEL"] == "info"
    assert service["deploy"]["replicas"] == 3
    assert service["restart"] == "unless-stopped"
    assert service["read_only"] is True
    assert int(service["stop_grace_period"].rstrip("s")) > WorkerSettings().grace_seconds
    conditions = {on["condition"] for on in service["depends_on"].values()}
    assert conditions == {"service_healthy"}
    assert set(service["depends_on"]) <= set(SERVERS)


@pytest.mark.parametrize("name", SERVERS)
def test_server_service(services: dict[str, Any], name: str) -> None:
    service = services[name]
    assert service["healthcheck"]["test"]
    assert [volume.split(":")[0] for volume in service["volumes"]] == [f"{name}-data"]
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])


def test_redis_keeps_what_it_was_given(services: dict[str, Any]) -> None:
    command = services["redis"]["command"]
    assert command[command.index("--appendonly") + 1] == "yes"
    assert command[command.index("--maxmemory-policy") + 1] == "noeviction"


def test_there_is_no_default_password() -> None:
    lines = [line for line in COMPOSE.read_text().splitlines() if "PASSWORD" in line]
    assert lines
    assert all("${POSTGRES_PASSWORD:?" in line for line in lines)
    example = (PROJECT / "docker" / ".env.example").read_text()
    assert "POSTGRES_PASSWORD=\n" in example


def _tool(name: str, *arguments: str) -> None:
    done = subprocess.run(
        [Path(sys.executable).parent / name, *arguments], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
