"""Rules of the house that no linter knows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.planted_imports import PACKAGES, PROJECT

MEANINGLESS = {
    "utils",
    "util",
    "common",
    "helpers",
    "helper",
    "base",
    "manager",
    "managers",
    "misc",
}
HOST = re.compile(
    r"://|--(extra-)?index-url|--find-links|\b[\w-]+\.(com|org|net|io|dev)\b", re.IGNORECASE
)
LOCKS = sorted((PROJECT / "requirements").glob("*.lock"))


def test_no_module_has_a_name_without_meaning() -> None:
    names = {
        path.stem: path
        for package in (*PACKAGES, "tests", "benchmarks")
        for path in (PROJECT / package).rglob("*")
        if path.suffix == ".py" or path.is_dir()
    }
    assert len(names) > 50
    assert not [str(path) for name, path in names.items() if name in MEANINGLESS]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_lock_names_no_host_and_has_hashes(lock: Path) -> None:
    text = lock.read_text()
    assert HOST.search(text) is None
    entries = re.split(r"\n(?=\w)", text.partition("make lock\n")[2])
    assert len(entries) > 5
    assert all("--hash=sha256:" in entry for entry in entries)


def test_there_is_a_lock_for_every_use() -> None:
    assert {lock.name for lock in LOCKS} == {
        "runtime.lock",
        "dev.lock",
        "production.lock",
        "build.lock",
    }


SKIPPING = {
    "for a missing server": "missing('a server', 'install it')",
    "for its own reason": "pytest.skip('not today')",
}


@pytest.mark.parametrize("statement", SKIPPING.values(), ids=SKIPPING.keys())
@pytest.mark.parametrize(("required", "summary"), [("", "1 skipped"), ("1", "1 failed")])
def test_skipped_test_fails_where_services_are_required(
    tmp_path: Path, statement: str, required: str, summary: str
) -> None:
    test = tmp_path / "test_planted.py"
    test.write_text(
        "import pytest\n"
        "from tests.services.missing import missing\n"
        f"def test_planted():\n    {statement}\n"
    )
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "tests.services.no_skips",
            "-c",
            os.devnull,
            test,
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(PROJECT), "REQUIRE_SERVICES": required},
    )
    assert summary in done.stdout
