"""Logs are one JSON object a line, cheap when off, and cannot drive a terminal."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from shared.observability import logs
from shared.verdicts import Done
from tests.unit.pool_source import DirectedSource, Worker, delivery, pool_on


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield io.StringIO()
    root.handlers[:], level = before
    root.setLevel(level)
    logs.configure("info")
    root.handlers[:] = before[0]


def records(stream: io.StringIO) -> list[dict]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_record_has_event_level_time_and_what_is_bound(stream: io.StringIO) -> None:
    logs.configure("info", "json", stream=stream, worker_id="host-1-0")
    logs.get_logger("a.b").warning("job_failed", job_id="7", duration=0.5, odd={1, 2}, none=None)
    (record,) = records(stream)
    assert record.pop("timestamp").endswith("Z")
    assert record == {
        "event": "job_failed",
        "level": "warning",
        "logger": "a.b",
        "worker_id": "host-1-0",
        "job_id": "7",
        "duration": 0.5,
        "odd": "{1, 2}",
        "none": None,
    }


def test_records_below_the_level_are_not_written(stream: io.StringIO) -> None:
    logs.configure("warning", "json", stream=stream)
    log = logs.get_logger("x")
    log.debug("one")
    log.info("two")
    log.error("three")
    assert [record["event"] for record in records(stream)] == ["three"]


@pytest.mark.parametrize("style", ["json", "console"])
def test_terminal_escapes_are_neutralised(stream: io.StringIO, style: logs.Format) -> None:
    logs.configure("info", style, stream=stream)
    evil = "\x1b]0;owned\x07\x9b31m\r\x7f\u202egnp\udcff"
    logs.get_logger("x").info("page", title=evil, items=[evil])
    written = stream.getvalue()
    colours = ("\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[3")
    for code in colours if style == "console" else ():
        written = written.replace(code, "")
    assert not [c for c in written if not c.isprintable() and c != "\n"]
    assert "owned" in written


def test_an_exception_is_written_with_its_traceback(stream: io.StringIO) -> None:
    logs.configure("info", "json", stream=stream)
    try:
        raise ValueError("bad \x1b[2J")
    except ValueError as error:
        logs.get_logger("x").error("broke", exc_info=error)
    (record,) = records(stream)
    assert "Traceback" in record["exception"]
    assert "\x1b" not in record["exception"]


def test_libraries_log_the_same_way(stream: io.StringIO) -> None:
    logs.configure("info", "json", stream=stream)
    logging.getLogger("library").warning("odd %s", "thing\x1b")
    (record,) = records(stream)
    assert (record["event"], record["logger"]) == ("library_message", "library")
    assert record["message"] == "odd thing\\x1b"


@pytest.mark.parametrize(("level", "shown"), [("debug", 1), ("info", 0), ("error", 0)])
def test_what_libraries_say_all_the_time_needs_debug(
    stream: io.StringIO, level: str, shown: int
) -> None:
    logs.configure(level, "json", stream=stream)
    logging.getLogger("elastic_transport").info("POST /_bulk 200")
    assert len(records(stream)) == shown


def test_a_log_that_cannot_be_written_stops_nobody() -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError("reader left")

    logs.configure("info", "json", stream=Gone())
    try:
        logs.get_logger("x").info("unheard")
    finally:
        logs.configure("info")


def test_structlog_is_imported_with_the_first_record_for_people_only_and_never_rich() -> None:
    """rich would be more than half of the time and memory of these logs."""
    code = (
        "import sys; from shared.observability import logs\n"
        "def imported(): print([name for name in ('structlog', 'rich') if name in sys.modules])\n"
        "logs.configure('info', 'json'); logs.get_logger('x').info('machines'); imported()\n"
        "logs.configure('info', 'console'); logs.get_logger('x').debug('hidden'); imported()\n"
        "logs.get_logger('x').info('people'); imported()\n"
        "import rich.table\n"  # others still can
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ
    )
    assert answer.stdout.splitlines() == ["[]", "[]", "['structlog']"]


def test_a_library_s_exception_is_written_with_its_traceback(stream: io.StringIO) -> None:
    logs.configure("info", "json", stream=stream)
    try:
        raise ValueError("bad")
    except ValueError:
        logging.getLogger("library").exception("failed")
    logging.getLogger("library").error("no exception")
    broke, told = records(stream)
    assert broke["exception"].endswith("ValueError: bad")
    assert "exception" not in told


async def test_start_and_end_of_a_job_are_logged_at_debug_level_only(stream: io.StringIO) -> None:
    async def work(_):
        return Done()

    for level, expected in (("info", []), ("debug", ["job_started", "job_finished"])):
        logs.configure(level, "json", stream=stream, worker_id="w")
        job = delivery()
        source = DirectedSource(job)
        async with pool_on(source, Worker(work)):
            await source.verdict_of(job)
        ours = [r for r in records(stream) if r["event"] != "library_message"]
        assert [record["event"] for record in ours] == expected
    finished = ours[-1]
    assert finished["job_id"] == job.job.id
    assert finished["job_type"] == "work"
    assert finished["worker_id"] == "w"
    assert finished["duration"] >= 0


async def test_a_failure_is_logged_at_warning_level(stream: io.StringIO) -> None:
    async def work(_):
        raise ValueError("bad page")

    logs.configure("warning", "json", stream=stream, worker_id="w")
    job = delivery()
    source = DirectedSource(job)
    async with pool_on(source, Worker(work)):
        await source.verdict_of(job)
    (record,) = records(stream)
    assert record["event"] == "job_failed"
    assert record["job_id"] == job.job.id
    assert record["error"] == "ValueError: bad page"
    assert "Traceback" in record["exception"]
