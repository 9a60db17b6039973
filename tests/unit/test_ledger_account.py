"""The reckoning of the ledger finds what is lost and what ran twice for no reason."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from benchmarks.ledger import books
from benchmarks.ledger.account import Account, Fault, account
from benchmarks.ledger.books import Book, Kind


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Books of ten jobs, all published and acknowledged."""
    write(tmp_path, "published", "p", range(10))
    write(tmp_path, "acknowledged", "p", range(10))
    return tmp_path


def write(directory: Path, kind: Kind, process: str, numbers: range | list[int]) -> None:
    Book(directory, kind, process).note_all(list(numbers))


def after(kind: str, *workers: str) -> Fault:
    return Fault(kind, time.monotonic_ns(), workers)


def sum_up(
    directory: Path, *faults: Fault, dead: tuple[int, ...] = (), on_its_way: int = 1
) -> Account:
    return account(directory, dead, faults, 5, max_crashes=2, on_its_way=on_its_way)


def test_a_sound_run_has_no_losses_and_no_duplicates(directory: Path) -> None:
    write(directory, "executed", "a", range(6))
    write(directory, "executed", "b", range(6, 10))
    assert sum_up(directory) == Account(
        published=10, acknowledged=10, executed=10, dead_lettered=0,
        dead_letters_by_cause={}, lost=0, duplicates=0, duplicates_by_cause={},
        stale_settlements_refused=0,
    )  # fmt: skip


def test_what_was_acknowledged_and_not_executed_is_lost(directory: Path) -> None:
    write(directory, "executed", "a", range(7))
    assert sum_up(directory).lost == 3
    assert sum_up(directory, dead=(9,)).lost == 2, "a dead letter is not lost"


def test_what_was_not_acknowledged_is_not_lost(directory: Path) -> None:
    write(directory, "published", "p", [10, 11])
    write(directory, "executed", "a", range(11))
    found = sum_up(directory)
    assert (found.published, found.acknowledged, found.executed, found.lost) == (12, 10, 11, 0)


def test_a_start_is_no_execution(directory: Path) -> None:
    write(directory, "started", "a", range(10))
    assert sum_up(directory).lost == 10


def test_a_duplicate_is_explained_by_a_fault_of_the_first_worker(directory: Path) -> None:
    write(directory, "executed", "a", [1, 2])
    kill = after("kill", "a")
    write(directory, "executed", "b", range(10))
    found = sum_up(directory, kill)
    assert (found.duplicates, found.duplicates_by_cause) == (2, {"kill": 2})


def test_a_worker_that_wakes_up_late_explains_its_own_late_run(directory: Path) -> None:
    pause = after("pause", "a")
    write(directory, "executed", "b", range(10))
    write(directory, "executed", "a", [1])
    assert sum_up(directory, pause).duplicates_by_cause == {"pause": 1}


def test_a_fault_of_another_worker_explains_nothing(directory: Path) -> None:
    write(directory, "executed", "a", [1])
    fault = after("kill", "c")
    write(directory, "executed", "b", range(10))
    assert sum_up(directory, fault).duplicates_by_cause == {"unexplained": 1}


def test_a_fault_long_before_the_execution_explains_nothing(directory: Path) -> None:
    fault = after("cut", "a")
    write(directory, "executed", "a", [0, 1, 2, 3, 4, 5])
    write(directory, "executed", "b", range(5, 10))
    assert sum_up(directory, fault).duplicates_by_cause == {"unexplained": 1}


def test_a_server_that_writes_acks_late_explains_what_it_forgot(directory: Path) -> None:
    write(directory, "executed", "a", range(8))
    at = time.monotonic_ns()
    late = Fault("restart", at, ["a"], unwritten_ns=at)
    write(directory, "executed", "b", range(10))
    assert sum_up(directory, late).duplicates_by_cause == {"restart": 8}


def test_a_fault_explains_no_more_than_was_in_flight(directory: Path) -> None:
    write(directory, "executed", "a", range(8))
    kill = after("kill", "a")
    write(directory, "executed", "b", range(10))
    assert sum_up(directory, kill).duplicates_by_cause == {"kill": 5, "unexplained": 3}


def test_a_fault_explains_as_much_for_each_worker_it_hits(directory: Path) -> None:
    write(directory, "executed", "a", range(4))
    write(directory, "executed", "b", range(4, 8))
    restart = after("restart", "a", "b")
    write(directory, "executed", "c", range(10))
    assert sum_up(directory, restart).duplicates_by_cause == {"restart": 8}


def test_a_dead_letter_is_explained_by_as_many_crashes_as_it_takes(directory: Path) -> None:
    write(directory, "started", "a", [1, 2, 3])
    first = after("kill", "a")
    write(directory, "started", "b", [1])
    second = after("restart", "b")
    write(directory, "started", "b", range(10, 20))
    write(directory, "started", "b", [2])
    found = sum_up(directory, first, second, dead=(1, 2, 3, 4))
    assert found.dead_letters_by_cause == {
        "crashed": 1,
        "crashed, also on its way to a worker": 1,  # the job 3
        "unexplained": 2,  # 2 was started where nothing happened, and 4 was never
    }


def test_where_the_broker_counts_what_it_had_sent_a_job_may_die_without_a_start(
    directory: Path,
) -> None:
    first, second = after("kill", "a"), after("kill", "b")
    before = Fault("kill", 0, ["c"])
    found = sum_up(directory, first, second, dead=(4,), on_its_way=2)
    assert found.dead_letters_by_cause == {"crashed, also on its way to a worker": 1}
    for faults in (first,), (first, before):
        found = sum_up(directory, *faults, dead=(4,), on_its_way=2)
        assert found.dead_letters_by_cause == {"unexplained": 1}, "one fault since its publish"


def test_a_repeated_publish_explains_one_more_run(directory: Path) -> None:
    write(directory, "published", "p", [1, 2])
    write(directory, "executed", "a", range(10))
    write(directory, "executed", "b", [1, 1, 2])
    assert sum_up(directory).duplicates_by_cause == {"republished": 2, "unexplained": 1}


def test_refused_settlements_are_counted(directory: Path) -> None:
    write(directory, "executed", "a", range(10))
    write(directory, "refused", "a", [1, 2, 3])
    assert sum_up(directory).stale_settlements_refused == 3


def test_books_are_counted_by_process_while_they_are_written(tmp_path: Path) -> None:
    book = Book(tmp_path, "started", "worker-1")
    Book(tmp_path, "started", "worker-11").note_all([7, 8])
    assert books.count(tmp_path, "started", "worker-1") == 0
    book.note(5)
    assert books.count(tmp_path, "started", "worker-1") == 1
    assert books.count(tmp_path, "started") == 3
    assert books.count(tmp_path, "executed") == 0
    ((name, numbers, times), _) = books.records(tmp_path, "started")
    assert (name, list(numbers)) == ("worker-1", [5])
    assert 0 <= time.monotonic_ns() - times[0] < 10**10
