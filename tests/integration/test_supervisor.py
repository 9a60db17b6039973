"""run_worker as its users meet it: real processes, real signals."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.embedded.server_process import free_port

DEADLINE_SECONDS = 40.0
Start = Callable[..., "Worker"]


def until(condition: Callable[[], object], what: str) -> None:
    end = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < end, f"not in {DEADLINE_SECONDS:g} s: {what}"
        time.sleep(0.01)


def alive(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


class Worker:
    """A started `supervised_program`."""

    def __init__(self, directory: Path, settings: dict[str, str]) -> None:
        self.ledger = directory / "ledger"
        self.ledger.touch()
        self.port = free_port()
        self.errors = (directory / "stderr").open("w+")
        environment = {
            **os.environ,
            "LEDGER": str(self.ledger),
            "METRICS_PORT": str(self.port),
            **settings,
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.supervised_program"],
            env=environment,
            stderr=self.errors,
        )

    def lines(self, word: str) -> list[list[str]]:
        split = [line.split() for line in self.ledger.read_text().splitlines()]
        return [line for line in split if line[0] == word]

    def wait_for(self, word: str, count: int) -> list[list[str]]:
        until(lambda: len(self.lines(word)) >= count, f"{count} x {word}: {self.said()}")
        return self.lines(word)

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as got:
                return got.status, got.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError as error:
            return 0, str(error)

    def metric(self, name: str) -> float:
        found = re.search(rf"^{re.escape(name)} (\S+)$", self.get("/metrics")[1], re.MULTILINE)
        return float(found[1]) if found else -1.0

    def wait_ready(self) -> None:
        until(lambda: self.get("/health/ready")[0] == 200, f"ready: {self.said()}")

    def pids(self) -> set[int]:
        """Everybody this worker started, itself included."""
        pids = {self.process.pid}
        while True:
            more = pids | {
                int(pid)
                for known in pids
                for pid in Path(f"/proc/{known}/task/{known}/children").read_text().split()
            }
            if more == pids:
                return pids
            pids = more

    def logged(self, event: str) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self.said().splitlines() if line[-1:] == "}"]
        return [line for line in lines if line["event"] == event]

    def said(self) -> str:
        self.errors.flush()
        return Path(self.errors.name).read_text()

    def ends_with(self) -> int:
        return self.process.wait(timeout=DEADLINE_SECONDS)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.errors.close()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    workers: list[Worker] = []

    def begin(**settings: str) -> Worker:
        directory = tmp_path / str(len(workers))
        directory.mkdir()
        workers.append(Worker(directory, settings))
        return workers[-1]

    yield begin
    for worker in workers:
        worker.close()


PROCESSED = 'worker_jobs_processed_total{job_type="nap",status="success"}'


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_and_exits_0(start: Start, processes: int, number: int) -> None:
    worker = start(PROCESSES=str(processes), NAPS="0 1", WORKERS="5")
    worker.wait_for("started", 2 * processes)
    until(lambda: worker.metric(PROCESSED) == processes, "the short naps are counted")
    worker.process.send_signal(number)
    assert worker.ends_with() == 0, worker.said()
    assert len(worker.lines("ended")) == 2 * processes
    assert all(line[2:] == ["ready=0", "leased=0"] for line in worker.wait_for("closed", processes))


@pytest.mark.parametrize("processes", [1, 2])
def test_what_outlives_the_grace_time_is_handed_back(start: Start, processes: int) -> None:
    worker = start(PROCESSES=str(processes), NAPS="30 30", WORKERS="1", GRACE_SECONDS="0.2")
    worker.wait_for("started", processes)
    worker.process.terminate()
    assert worker.ends_with() == 0, worker.said()
    assert not worker.lines("ended")
    assert all(line[2:] == ["ready=2", "leased=0"] for line in worker.wait_for("closed", processes))


@pytest.mark.parametrize("processes", [1, 2])
def test_a_second_signal_ends_everything_at_once(start: Start, processes: int) -> None:
    worker = start(PROCESSES=str(processes), NAPS="30")
    worker.wait_for("started", processes)
    everybody = worker.pids()
    assert len(everybody) == (3 if processes == 1 else 6)
    worker.process.terminate()
    until(lambda: '"stopping"' in worker.said(), "the first signal is heard")
    worker.process.terminate()
    assert worker.ends_with() == 128 + signal.SIGTERM
    assert not worker.lines("closed")
    until(lambda: not any(map(alive, everybody)), "all processes are gone")


def test_a_killed_process_is_replaced_and_the_totals_stay_right(start: Start) -> None:
    worker = start(PROCESSES="2", NAPS="0 0 0")
    worker.wait_for("ended", 6)
    until(lambda: worker.metric(PROCESSED) == 6, "six naps are counted")
    victim = next(line for line in worker.lines("built") if line[1] == "0")
    helper = next(line for line in worker.lines("helper") if line[1] == "0")
    os.kill(int(victim[2]), signal.SIGKILL)
    worker.wait_for("built", 3)
    worker.wait_for("ended", 9)
    until(lambda: worker.metric(PROCESSED) == 9, "its three and its successor's three are counted")
    assert worker.metric("worker_process_restarts_total") == 1
    until(lambda: not alive(int(helper[2])), "the helper of the killed process is gone")
    worker.wait_ready()
    assert worker.metric("worker_slots") == 20
    worker.process.terminate()
    assert worker.ends_with() == 0, worker.said()


@pytest.mark.parametrize(("processes", "loaded"), [("1", ["False"]), ("2", ["True", "True"])])
def test_the_processes_of_a_group_are_forked_with_what_they_need(
    processes: str, loaded: list[str], start: Start
) -> None:
    """Importing it would be most of the time until a forked worker works."""
    worker = start(PROCESSES=processes)
    worker.wait_for("built", len(loaded))
    assert [line[2] for line in worker.lines("loaded")] == loaded


def test_a_group_that_was_ready_outlives_a_server_that_goes_away(start: Start) -> None:
    worker = start(PROCESSES="2")
    worker.wait_ready()
    broken = Path(f"{worker.ledger}.broken")
    broken.touch()
    os.kill(int(worker.lines("built")[0][2]), signal.SIGKILL)
    worker.wait_for("broken", 2)  # restarted once, and once more after a longer pause
    assert worker.get("/health/ready")[0] == 503
    broken.unlink()
    worker.wait_for("built", 3)
    worker.wait_ready()
    assert worker.process.poll() is None


def test_a_process_that_is_asked_to_leave_drains_and_is_replaced(start: Start) -> None:
    worker = start(PROCESSES="2", NAPS="1")
    victim = int(worker.wait_for("started", 2)[0][3])
    os.kill(victim, signal.SIGTERM)
    until(lambda: any(int(line[3]) == victim for line in worker.lines("ended")), "it drained")
    worker.wait_for("built", 3)
    assert worker.process.poll() is None


def test_sighup_replaces_every_process_and_there_are_never_fewer(start: Start) -> None:
    worker = start(PROCESSES="2", NAPS="0 1")
    before = {int(line[2]) for line in worker.wait_for("built", 2)}
    worker.wait_for("started", 4)
    worker.wait_ready()
    worker.process.send_signal(signal.SIGHUP)
    while len(worker.lines("closed")) < 2:
        assert worker.get("/health/ready")[0] == 200, "one that is ready is always there"
    worker.wait_for("ended", 8)
    lines = [line[0] for line in map(str.split, worker.ledger.read_text().splitlines())]
    for closed in (1, 2):
        assert lines[: _nth(lines, "closed", closed)].count("built") >= 2 + closed
    until(lambda: worker.metric(PROCESSED) == 8, "the naps of old and new are counted")
    assert worker.metric("worker_slots") == 20
    assert worker.metric("worker_process_restarts_total") == 0
    assert not before & worker.pids()
    worker.process.terminate()
    assert worker.ends_with() == 0, worker.said()


def _nth(lines: list[str], word: str, number: int) -> int:
    return [at for at, line in enumerate(lines) if line == word][number - 1]


def test_a_successor_that_cannot_start_changes_nothing(start: Start) -> None:
    worker = start(PROCESSES="2")
    worker.wait_ready()
    before = {int(line[2]) for line in worker.lines("built")}
    Path(f"{worker.ledger}.broken").touch()
    worker.process.send_signal(signal.SIGHUP)
    until(lambda: worker.said().count('"process_not_changed"') == 2, "both stay")
    assert before <= worker.pids()
    assert worker.get("/health/ready")[0] == 200


def test_a_stop_in_the_middle_of_a_change_drains_both_processes(start: Start) -> None:
    worker = start(PROCESSES="2", NAPS="1")
    worker.wait_for("started", 2)
    worker.wait_ready()
    worker.process.send_signal(signal.SIGHUP)
    worker.wait_for("started", 3)  # the successor works, and the process before it drains
    worker.process.terminate()
    assert worker.ends_with() == 0, worker.said()
    assert len(worker.lines("ended")) == len(worker.lines("started"))
    assert len(worker.lines("closed")) == len(worker.lines("built"))


def test_a_process_that_cannot_be_forked_again_is_tried_until_it_can(start: Start) -> None:
    worker = start(PROCESSES="2")
    worker.wait_ready()
    victim, other = (int(line[2]) for line in worker.lines("built"))
    refusing = Path(f"{worker.ledger}.no-forks")
    refusing.touch()
    os.kill(victim, signal.SIGKILL)
    until(lambda: worker.logged("process_not_started"), "the fork is refused")
    refusing.unlink()
    worker.wait_for("built", 3)
    worker.wait_ready()
    assert alive(other)
    assert not worker.lines("closed")
    worker.process.terminate()
    assert worker.ends_with() == 0, worker.said()


def test_a_successor_that_cannot_be_forked_changes_nothing(start: Start) -> None:
    worker = start(PROCESSES="2")
    worker.wait_ready()
    refusing = Path(f"{worker.ledger}.no-forks")
    refusing.touch()
    worker.process.send_signal(signal.SIGHUP)
    until(lambda: len(worker.logged("process_not_changed")) == 2, "both stay")
    refusing.unlink()
    assert worker.get("/health/ready")[0] == 200
    worker.process.send_signal(signal.SIGHUP)
    worker.wait_for("closed", 2)


def test_a_first_process_that_cannot_be_forked_exits_3(start: Start) -> None:
    worker = start(PROCESSES="2", NO_FORKS="1")
    assert worker.ends_with() == 3
    assert "cannot fork" in worker.said()


@pytest.mark.parametrize("processes", [1, 2])
def test_a_process_that_needs_too_much_memory_drains_and_is_replaced(
    start: Start, processes: int
) -> None:
    worker = start(PROCESSES=str(processes), NAPS="2", LEAK_MB="200", MAX_MEMORY_MB="150")
    leaking = {int(line[3]) for line in worker.wait_for("started", processes)}
    worker.wait_for("closed", processes)
    ended = {int(line[3]) for line in worker.lines("ended")}
    assert leaking <= ended, "they finished what they had begun"
    assert worker.process.poll() is None


def test_processes_that_leak_do_not_wait_for_each_other(start: Start) -> None:
    worker = start(PROCESSES="2", NAPS="29", LEAK_MB="200", MAX_MEMORY_MB="150")
    worker.wait_for("built", 4)
    assert not worker.lines("closed"), "nobody has drained yet"


def test_a_memory_limit_that_nothing_can_keep_is_told_and_followed_ever_more_slowly(
    start: Start,
) -> None:
    worker = start(PROCESSES="1", MAX_MEMORY_MB="5")
    until(lambda: len(worker.logged("memory_limit_too_low")) >= 2, "it is told for each process")
    told = worker.logged("memory_limit_too_low")
    assert [line["next_look_in"] for line in told[:2]] == [0.5, 1]
    assert told[0]["max_memory_mb"] == 5 < told[0]["memory_mb"]
    assert "raise MAX_MEMORY_MB" in told[0]["advice"]


def test_a_memory_limit_outlives_a_refused_fork(start: Start) -> None:
    worker = start(PROCESSES="1", MAX_MEMORY_MB="5")
    worker.wait_ready()
    refusing = Path(f"{worker.ledger}.no-forks")
    refusing.touch()
    until(lambda: worker.logged("process_not_changed"), "the fork is refused")
    changed = len(worker.lines("closed"))
    refusing.unlink()
    worker.wait_for("closed", changed + 1)


def test_sighup_stops_a_worker_of_one_process(start: Start) -> None:
    worker = start(NAPS="1")
    worker.wait_for("started", 1)
    worker.process.send_signal(signal.SIGHUP)
    assert worker.ends_with() == 0, worker.said()
    assert len(worker.lines("ended")) == 1


def test_a_signal_to_every_process_counts_once(start: Start) -> None:
    worker = start(PROCESSES="2", NAPS="1")
    worker.wait_for("started", 2)
    for pid in worker.pids():
        os.kill(pid, signal.SIGTERM)
    assert worker.ends_with() == 0, worker.said()
    assert len(worker.lines("ended")) == 2


@pytest.mark.parametrize("processes", [1, 2])
def test_everything_ends_when_the_first_process_is_killed(start: Start, processes: int) -> None:
    worker = start(PROCESSES=str(processes), NAPS="30")
    worker.wait_for("started", processes)
    everybody = worker.pids()
    worker.process.kill()
    until(lambda: not any(map(alive, everybody)), "all processes are gone")


@pytest.mark.parametrize("processes", [1, 2])
def test_a_taken_port_is_told_and_exits_3(start: Start, processes: int) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        worker = start(PROCESSES=str(processes), METRICS_PORT=port)
        assert worker.ends_with() == 3
    assert port in worker.said()
    assert "METRICS_PORT" in worker.said()
    assert not worker.lines("built")


@pytest.mark.parametrize("processes", [1, 2])
def test_a_server_missing_at_start_exits_3(start: Start, processes: int) -> None:
    worker = start(PROCESSES=str(processes), BREAK="build")
    assert worker.ends_with() == 3
    assert "the database is not there" in worker.said()


@pytest.mark.parametrize("processes", [1, 2])
def test_readiness_follows_the_dependencies(start: Start, processes: int) -> None:
    worker = start(PROCESSES=str(processes))
    worker.wait_ready()
    away = Path(f"{worker.ledger}.unready")
    away.touch()
    status, text = worker.get("/health/ready")
    assert status == 503
    assert text.count("queue: ConnectionRefusedError: queue away") == processes
    assert worker.get("/health/live")[0] == 200
    away.unlink()
    assert worker.get("/health/ready")[0] == 200


@pytest.mark.parametrize("processes", [1, 2])
def test_a_working_worker_can_be_looked_into(start: Start, processes: int) -> None:
    worker = start(PROCESSES=str(processes), NAPS="30", SPIN="1")
    worker.wait_for("started", processes)
    status, tasks = worker.get("/debug/tasks")
    assert status == 200
    assert tasks.count("await asyncio.sleep(nap.seconds)") == processes

    def profile_has_all() -> bool:  # a process that gets no CPU time meanwhile has no samples
        status, profile = worker.get("/debug/profile?seconds=0.2")
        assert status == 200
        return profile.count("NapProcessor.spin") >= processes

    until(profile_has_all, "a profile has what every process does")
    assert worker.get("/debug/profile?seconds=never")[0] == 400


def test_a_stuck_loop_is_not_alive(start: Start) -> None:
    worker = start(PROCESSES="2")
    worker.wait_ready()
    victim = int(worker.lines("built")[0][2])
    os.kill(victim, signal.SIGSTOP)
    until(lambda: worker.metric("worker_loop_age_seconds") > 2, "its heart has stopped")
    assert worker.get("/health/live")[0] == 200  # not yet long enough
    os.kill(victim, signal.SIGCONT)
    until(lambda: worker.metric("worker_loop_age_seconds") < 2, "its heart beats again")
