"""The example workers, run as their users run them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Queue as Lines

import pytest
import redis

EXAMPLES = Path("examples/workers")
DEADLINE_SECONDS = 30.0


class Example:
    """A started example: its lines, and its end."""

    def __init__(self, name: str, settings: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(EXAMPLES / name)],
            env={**os.environ, "PYTHONPATH": str(Path.cwd()), **settings},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._lines: Lines[str] = Lines()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def says(self, text: str) -> str:
        """Wait for a line that has this text, and return it."""
        seen = []
        while text not in (line := self._lines.get(timeout=DEADLINE_SECONDS)):
            seen.append(line)
            assert self.process.poll() is None or not self._lines.empty(), "".join(seen)
        return line

    def stop(self) -> int:
        """Ask it to stop; return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(DEADLINE_SECONDS)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as output:
            for line in output:
                self._lines.put(line)


@pytest.fixture
def run(redis_url: str) -> Iterator[Callable[..., Example]]:
    started: list[Example] = []

    def start(name: str, **settings: str) -> Example:
        started.append(Example(name, {"REDIS_URL": redis_url, "METRICS_PORT": "0", **settings}))
        return started[-1]

    yield start
    for each in started:
        each.close()


def push(url: str, queue: str, *messages: bytes) -> None:
    with redis.Redis.from_url(url) as client:
        client.lpush(queue, *messages)


@pytest.mark.parametrize("processes", ["1", "2"])
def test_the_mail_worker_does_what_it_is_sent_and_stops_in_order(
    run: Callable[..., Example], redis_url: str, processes: str
) -> None:
    worker = run("mail.py", PROCESSES=processes)
    push(redis_url, "mail:jobs", b'{"type":"send","payload":{"to":"ada","text":"hello"}}')
    worker.says("to ada: hello")
    assert worker.stop() == 0


def test_a_wrong_setting_ends_it_with_code_2_and_says_which(run: Callable[..., Example]) -> None:
    worker = run("mail.py", WORKERS="many")
    worker.says("WORKERS='many'")
    assert worker.process.wait(DEADLINE_SECONDS) == 2


def test_a_broker_that_no_adapter_knows_ends_it_with_code_2(run: Callable[..., Example]) -> None:
    worker = run("mail.py", QUEUE_URL="carrier-pigeon://loft")
    worker.says("no queue adapter for carrier-pigeon")
    assert worker.process.wait(DEADLINE_SECONDS) == 2


def test_the_smallest_worker_is_small() -> None:
    assert len((EXAMPLES / "mail.py").read_text().splitlines()) <= 30
