"""The directions between packages hold, and every contract is seen to fail on a planted import."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.architecture.planted_imports import PACKAGES, PROJECT, Plant, contracts, plants, sow

EXPECTED = {
    "purpose-packages",
    "shared-layers",
    "redis-library",
    "aiokafka-library",
    "asyncpg-library",
    "elasticsearch-library",
    "tantivy-library",
    "aiohttp-library",
    "rabbitmq-library",
    "nats-library",
    "structlog-library",
    "opentelemetry-library",
    "queue-adapters",
    "document-adapters",
    "search-adapters",
    "frontier-adapters",
    "crawler-adapters",
    "source-adapters",
    "factories",
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the packages and their contracts."""
    for package in PACKAGES:
        shutil.copytree(PROJECT / package, tmp_path / package, ignore=_no_caches)
    shutil.copy(PROJECT / "pyproject.toml", tmp_path)
    return tmp_path


def test_every_rule_of_the_house_has_a_contract() -> None:
    assert {contract["id"] for contract in contracts()} >= EXPECTED


def test_the_real_packages_keep_every_contract(tree: Path) -> None:
    done = lint(tree)
    assert done.returncode == 0, done.stdout
    assert f"{len(contracts())} kept, 0 broken" in done.stdout


@pytest.mark.parametrize("contract", contracts(), ids=lambda contract: str(contract["id"]))
def test_contract_fails_on_planted_imports(tree: Path, contract: dict[str, Any]) -> None:
    planted = plants(contract)
    for plant in planted:
        sow(plant, tree)
    done = lint(tree, "--contract", contract["id"])
    assert done.returncode == 1
    assert f"{contract['name']} BROKEN" in " ".join(done.stdout.split())
    assert planted
    for plant in planted:
        assert f"{plant.importer} -> {plant.imported} " in done.stdout


def test_new_module_in_shared_needs_a_layer(tree: Path) -> None:
    (tree / "shared" / "unplaced.py").touch()
    done = lint(tree, "--contract", "shared-layers")
    assert done.returncode == 1
    assert "shared.unplaced" in done.stdout


def lint(tree: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run import-linter on a tree, which it finds before the installed packages."""
    program = Path(sys.executable).parent / "lint-imports"
    return subprocess.run(
        [program, "--no-cache", "--no-logo", *arguments],
        cwd=tree,
        capture_output=True,
        text=True,
        env={"COLUMNS": "300", "PATH": ""},
    )


def _no_caches(directory: str, names: list[str]) -> list[str]:
    return [name for name in names if name == "__pycache__"]


def test_an_assert_of_a_helper_says_what_differed(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"exists.*nowhere\.py"):
        sow(Plant("nowhere", "shared"), tmp_path)
