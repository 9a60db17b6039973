"""Processes, disks and clocks break as they are told to."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.faults.clocks import JumpingClock
from tests.faults.disks import FaultImpossibleError, fill, powered_disk, small_disk
from tests.faults.processes import Child, Children

BEATING = """
import sys, time
while True:
    open(sys.argv[1], "a").write("x")
    time.sleep(0.01)
"""


def beating(children: Children, file: Path) -> Child:
    """A process that writes a letter a hundred times a second."""
    child = children.start([sys.executable, "-c", BEATING, str(file)])
    until(lambda: file.exists() and file.stat().st_size > 2)
    return child


def until(condition: object, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_paused_process_does_nothing_until_it_is_resumed(tmp_path: Path) -> None:
    with Children() as children:
        child = beating(children, tmp_path / "beats")
        child.pause()
        size = (tmp_path / "beats").stat().st_size
        time.sleep(0.1)
        assert (tmp_path / "beats").stat().st_size == size
        assert child.runs
        child.resume()
        until(lambda: (tmp_path / "beats").stat().st_size > size)


def test_a_paused_process_can_be_killed(tmp_path: Path) -> None:
    with Children() as children:
        child = beating(children, tmp_path / "beats")
        child.pause()
        child.kill()
        assert not child.runs
        assert child.wait() == -signal.SIGKILL


def test_a_process_that_has_ended_gets_no_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    child = Child([sys.executable, "-c", ""])
    child.wait(10)
    monkeypatch.setattr(os, "kill", lambda *_: pytest.fail("its id may be another's by now"))
    child.pause()
    child.kill()


def test_nothing_that_was_started_is_left_behind(tmp_path: Path) -> None:
    with Children() as children:
        child = beating(children, tmp_path / "beats")
    assert not child.runs


def test_a_child_outlives_no_parent_that_is_killed(tmp_path: Path) -> None:
    program = (
        "import sys; from tests.faults.processes import Child;"
        f"child = Child([sys.executable, '-c', {BEATING!r}, {str(tmp_path / 'beats')!r}]);"
        "print(child.pid, flush=True); child.wait()"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    until(lambda: (tmp_path / "beats").exists())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    until(lambda: not _is_alive(pid))


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False


def test_a_small_disk_is_full_and_free_again(tmp_path: Path, disks: None) -> None:
    at = tmp_path / "disk"
    with small_disk(at, megabytes=2):
        (at / "kept").write_bytes(b"k" * 1000)
        ballast = fill(at)
        assert 1_500_000 < ballast.stat().st_size < 2 << 20
        with pytest.raises(OSError, match="No space"):
            (at / "more").write_bytes(b"m" * 10_000)
        ballast.unlink()
        (at / "more").write_bytes(b"m" * 10_000)
    assert not list(at.iterdir()), "the mount was ours alone and has gone"


def test_a_power_cut_keeps_what_was_synced_and_nothing_else(tmp_path: Path, disks: None) -> None:
    with powered_disk(tmp_path, megabytes=64) as disk:
        older = disk.at / "older"
        older.write_bytes(b"o" * 1000)
        disk.write_out()
        synced, unsynced = disk.at / "synced", disk.at / "unsynced"
        with synced.open("wb", buffering=0) as file:
            file.write(b"s" * 1000)
            os.fsync(file.fileno())
            file.write(b"late" * 100)
        unsynced.write_bytes(b"u" * 1000)
        disk.cut_power()
        with pytest.raises(OSError, match="Input/output error"):
            synced.write_bytes(b"after the cut")
        disk.restore()
        assert synced.read_bytes() == b"s" * 1000
        assert older.read_bytes() == b"o" * 1000
        assert not unsynced.exists()
        unsynced.write_bytes(b"the disk works again")


def test_a_user_without_the_right_is_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.faults.disks._libc.unshare", lambda *_: -1)
    with pytest.raises(FaultImpossibleError, match="root"):
        with powered_disk(tmp_path):
            pytest.fail("there is no disk")


def test_mounts_leave_the_working_directory_as_it_was(tmp_path: Path, disks: None) -> None:
    before = Path.cwd()
    with small_disk(tmp_path / "disk", megabytes=1):
        pass
    assert Path.cwd() == before
    assert Path("pyproject.toml").exists() == (before / "pyproject.toml").exists()


def test_a_clock_jumps_while_the_program_runs(tmp_path: Path) -> None:
    clock = JumpingClock(tmp_path / "clock")
    program = (
        "import sys, time\nfor _ in sys.stdin: print(time.time(), time.monotonic(), flush=True)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        env={**os.environ, **clock.env},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        wall, monotonic = _clocks(process)
        assert abs(wall - time.time()) < 60
        clock.jump_to(86_400.0)
        later, monotonic_later = _clocks(process)
        clock.jump_to(-3600.0)
        earlier, _ = _clocks(process)
    assert abs(later - wall - 86_400.0) < 60
    assert abs(earlier - wall + 3600.0) < 60
    assert 0 <= monotonic_later - monotonic < 60


def _clocks(process: subprocess.Popen[str]) -> tuple[float, float]:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    wall, monotonic = process.stdout.readline().split()
    return float(wall), float(monotonic)
