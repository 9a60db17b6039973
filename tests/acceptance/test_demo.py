"""`workers demo` and `workers up` as their users run them: one command, real processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from examples.recipes.site.__main__ import DATA
from shared.embedded.server_process import free_port
from tests.acceptance.worker_process import until

pytestmark = pytest.mark.timeout(240)

LEFT_OUT = (
    "canonical",
    "http_404",
    "http_410",
    "noindex",
    "not_html",
    "redirect",
    "robots_denied",
)
"""What the example site has to be left out; each with its reason in the report."""


def workers(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "workers", *arguments],
        env={"PATH": os.environ["PATH"], **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=200,
    )


def processes_below(directory: Path) -> list[str]:
    """Return the command lines of all processes that name the directory."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            environment = (process / "environ").read_bytes().decode(errors="replace")
        except OSError:
            continue
        if str(directory) in command + environment:
            found.append(command)
    return found


def figures(output: str) -> dict[str, Any]:
    last = output.rstrip().splitlines()[-1]
    assert last.startswith("DEMO "), output
    return dict(json.loads(last.removeprefix("DEMO ")))


def test_the_demo_crawls_searches_and_follows_a_change(tmp_path: Path) -> None:
    done = workers("demo", "--data-dir", str(tmp_path / "demo"))

    assert done.returncode == 0, done.stdout + done.stderr
    counted = figures(done.stdout)
    recipes = len(list((DATA / "recipes").glob("*.yaml")))
    assert counted["documents"] >= recipes >= 40
    assert counted["pages"] > counted["documents"]
    assert counted["hits"] >= 1
    assert 0 < counted["seconds"] < counted["seconds_total"]
    for reason in LEFT_OUT:
        assert f" {reason} " in done.stdout, f"{reason} is not in:\n{done.stdout}"
    assert "now finds the changed page" in done.stdout
    assert "no longer finds the removed page" in done.stdout
    assert str(tmp_path / "demo" / "postgres") in done.stdout
    assert processes_below(tmp_path / "demo") == []


def test_a_demo_never_empties_a_directory_that_it_did_not_make(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")

    done = workers("demo", "--data-dir", str(tmp_path))

    assert done.returncode == 2
    assert "choose an empty --data-dir" in done.stderr
    assert (tmp_path / "precious").read_text() == "mine"


@pytest.fixture
def site() -> Iterator[str]:
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "examples.recipes.site", "--port", str(port)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    process.stdout.readline()  # "Running on": it accepts connections
    yield f"http://127.0.0.1:{port}/"
    process.terminate()
    process.communicate(timeout=30)


def test_a_named_site_is_crawled_under_its_robots_txt_up_to_so_many_pages(
    site: str, tmp_path: Path
) -> None:
    arguments = ("demo", "--url", site, "--pages", "8", "--data-dir", str(tmp_path / "demo"))

    done = workers(*arguments, ALLOW_NETWORKS="127.0.0.0/8")

    assert done.returncode == 0, done.stdout + done.stderr
    counted = figures(done.stdout)
    assert 1 <= counted["documents"] <= counted["pages"]
    assert counted["hits"] >= 1
    assert counted["seconds"] >= 5, "it asked more often than once a second"


def test_a_site_in_a_private_network_is_refused_without_the_setting(
    site: str, tmp_path: Path
) -> None:
    done = workers("demo", "--url", site, "--pages", "8", "--data-dir", str(tmp_path / "demo"))

    assert done.returncode == 3
    assert "ALLOW_NETWORKS" in done.stdout + done.stderr


@pytest.fixture
def up(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`workers up` on tmp_path/var, when all is up."""
    ports = [f"--{kind}-port={free_port()}" for kind in ("crawler", "indexer", "sync")]
    command = [sys.executable, "-m", "workers", "up", "--data-dir", str(tmp_path / "var"), *ports]
    log = tmp_path / "output"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env={"PATH": os.environ["PATH"]}, stdout=output, stderr=output
        )
    try:
        until("all is up", lambda: "What to type next" in log.read_text(), 60)
        yield process
    finally:
        process.terminate()
        process.wait(60)


def test_up_runs_until_ctrl_c_and_leaves_nothing_behind(
    up: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    data = tmp_path / "var"
    search = f". {data}/workers.env; worker-indexer status --json"
    status = subprocess.run(["sh", "-c", search], capture_output=True, text=True, check=True)
    assert json.loads(status.stdout)["generations"]
    second = workers("up", "--data-dir", str(data))
    assert (second.returncode, "another `workers` command" in second.stderr) == (2, True)

    up.send_signal(signal.SIGINT)

    assert up.wait(60) == 0, (tmp_path / "output").read_text()
    assert processes_below(data) == []


def test_nothing_outlives_an_up_that_is_killed(up: subprocess.Popen[bytes], tmp_path: Path) -> None:
    assert len(processes_below(tmp_path / "var")) >= 5

    up.kill()
    up.wait(30)

    until("all have ended", lambda: not processes_below(tmp_path / "var"), 60)
