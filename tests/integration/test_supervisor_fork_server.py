"""The fork server: what it forks, limits, kills, and takes along when it goes."""

from __future__ import annotations

import signal
import subprocess
import sys


def run(scenario: str) -> tuple[list[str], str]:
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-m", "tests.integration.forking_program", scenario],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines(), done.stderr


def test_statuses_tell_how_a_child_ended() -> None:
    said, errors = run("statuses")
    assert said == ["0 7", "1 1"]
    assert "RuntimeError: exploded" in errors
    assert "nothing_here" in errors


def test_channels_carry_data_and_targets_have_names() -> None:
    said, errors = run("channel")
    assert said == ["b'N0' b'N1' b'N2' b'N3' b'N4'", "b'HELLO'"]
    assert not errors


def test_limits_hold_for_the_child_alone() -> None:
    said, _ = run("limits")
    assert said == ["0", "5", str(-signal.SIGXCPU), "True"]


def test_a_killed_child_does_not_hurt_the_server() -> None:
    said, _ = run("kill")
    assert said == [str(-signal.SIGKILL), "b'HELLO'"]


def test_a_fork_that_is_refused_leaves_the_server_as_it_was() -> None:
    said, errors = run("refusals")
    assert all(line.startswith("cannot fork: ") for line in said[1:4])
    assert said[4:] == ["b'HELLO'", "True"]
    assert not errors


def test_modules_are_imported_once_for_all_children() -> None:
    said, _ = run("preload")
    assert said == ["b'True'"]


def test_helpers_end_with_the_process_that_asked_for_them() -> None:
    said, _ = run("owner_dies")
    assert said == ["grandchild gone True"]


def test_a_lost_server_is_told_and_takes_its_children_along() -> None:
    said, _ = run("server_dies")
    assert said[0] == str(-signal.SIGKILL)
    assert said[1].startswith("the fork server is gone")
