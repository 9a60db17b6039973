"""The README of examples/own_table, followed word for word."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.embedded.server_process import free_port
from tests.acceptance.worker_process import until

pytestmark = pytest.mark.timeout(180)

PROJECT = Path(__file__).parent.parent.parent
README = PROJECT / "examples" / "own_table" / "README.md"
FOUND = {
    "saw": "Dovetail saw",
    "sheffield": "Dovetail saw",
    "magic": "Cabinet scraper",
    "plane": "0 documents",
}
"""What each search of the README is to show."""

TRIGGERS = (
    "SELECT count(*) FROM pg_trigger"
    " WHERE NOT tgisinternal AND tgrelid IN ('tools'::regclass, 'reviews'::regclass)"
)


@pytest.fixture
def environment_file(tmp_path: Path) -> Iterator[Path]:
    log = tmp_path / "output"
    ports = [f"--{kind}-port={free_port()}" for kind in ("crawler", "indexer", "sync")]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "workers", "up", "--data-dir", str(tmp_path / "var"), *ports],
            env={"PATH": os.environ["PATH"]},
            stdout=output,
            stderr=output,
        )
    try:
        until("all is up", lambda: "What to type next" in log.read_text(), 60)
        yield tmp_path / "var" / "workers.env"
    finally:
        process.terminate()
        process.wait(60)


def commands() -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", README.read_text(), re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.strip()]


def test_the_readme_works_word_for_word(environment_file: Path) -> None:
    def run(line: str) -> str:
        done = subprocess.run(
            ["bash", "-c", f"source {environment_file}; {line}"],
            cwd=PROJECT,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, (line, done.stdout, done.stderr)
        return done.stdout

    searched = []
    for line in commands():
        if line.startswith("source "):
            continue
        search = re.match(r"worker-indexer search (\w+)", line)
        if search is None:
            run(line)
            continue
        searched.append(search[1])
        until(f"{line} shows it", lambda line=line: FOUND[searched[-1]] in run(line), 30)
    assert searched == list(FOUND)

    run("worker-sync uninstall tools")
    assert run(f'psql "$DATABASE_URL" -Atc "{TRIGGERS}"').strip() == "0"
