"""What is not installed is named with its extra, and what needs no extra works without one."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions

import pytest

from shared.extras import EXTRAS
from tests.architecture.planted_imports import PACKAGES, PROJECT

ALL = [package for packages in EXTRAS.values() for package in packages]
MAIL = str(PROJECT / "examples" / "workers" / "mail.py")
LATER = {"compression"}  # of the standard library from Python 3.14


def imported() -> set[str]:
    """Name what the suite imports from elsewhere."""
    found = set()
    for path in (path for each in PACKAGES for path in (PROJECT / each).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found.add((node.module or "").partition(".")[0])
    return found - set(sys.stdlib_module_names) - set(PACKAGES) - LATER


def test_every_package_that_is_not_of_the_core_has_its_extra() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    core = {each.partition(">")[0] for each in project["dependencies"]}
    of = packages_distributions()
    wanting = {
        each
        for each in imported()
        if not {name.lower().replace("_", "-") for name in of.get(each, [each])} & core
    }
    assert wanting - set(ALL) == set()
    assert set(EXTRAS) <= set(project["optional-dependencies"])


def bare(program: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a module, or a file, where no extra is installed."""
    how = "run_path" if program.endswith(".py") else "run_module"
    code = (
        f"import runpy, sys; sys.modules |= dict.fromkeys({ALL!r}); "
        f"sys.argv[:] = {['bare', *arguments]!r}; "
        f"runpy.{how}({program!r}, run_name='__main__')"
    )
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **environment},
    )


def test_a_queue_is_looked_at_with_nothing_but_the_core(redis_url: str) -> None:
    done = bare("workers", "queue", "depth", "mail:jobs", REDIS_URL=redis_url)
    assert (done.returncode, done.stderr) == (0, "")
    assert "ready" in done.stdout


@pytest.mark.parametrize(
    ("program", "command", "told"),
    [
        ("workers", "top", "workers: the package rich is not installed"),
        ("indexer", "run", "worker-indexer: the package asyncpg is not installed"),
    ],
)
def test_a_command_without_its_extra_says_which(program: str, command: str, told: str) -> None:
    done = bare(program, command)
    assert done.returncode == 2
    assert done.stderr.startswith(told)
    assert "pip install '.[" in done.stderr


@pytest.mark.parametrize(
    ("scheme", "processes"),
    [("nats", "1"), ("kafka", "2"), ("amqp", "1"), ("postgres", "2")],
)
def test_a_worker_without_the_extra_of_its_broker_says_which(scheme: str, processes: str) -> None:
    done = bare(MAIL, QUEUE_URL=f"{scheme}://127.0.0.1:1", PROCESSES=processes)
    assert done.returncode == 2
    assert "pip install '.[" in done.stderr
    assert "Traceback" not in done.stderr
