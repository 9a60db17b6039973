"""Start-up stays short: the core imports nothing it does not need to become ready."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import TypeVar

import pytest

from crawler import bootstrap as crawler
from crawler.settings import CrawlerSettings
from indexer import bootstrap as indexer
from indexer.settings import IndexerSettings
from shared.config import load
from shared.queue_worker import run_queue_worker
from shared.settings import WorkerSettings
from sync import bootstrap as sync
from sync.settings import SyncSettings

S = TypeVar("S", bound=WorkerSettings)

LATER = (
    "structlog",
    "prometheus_client",
    "tenacity",
    "redis",
    "asyncpg",
    "aiohttp",
    "ctypes",
    "opentelemetry",
    "cronsim",
    "tomllib",
    "shared.queue.administration",
)


FIRST_JOB = f"""
import asyncio, os, signal, sys
from shared.jobs import Job
from shared.queue.factory import create_queue
from shared.queue.port import QueueSettings
from shared.queue_worker import run_queue_worker
from shared.pool.retry_policy import RetryPolicy
from shared.verdicts import Done

class Look:
    job_type, payload_type, timeout_seconds, retry = "look", None, 5.0, RetryPolicy()

    async def process(self, execution):
        print(*[name for name in {LATER} if name in sys.modules])
        os.kill(os.getpid(), signal.SIGTERM)
        return Done()

queue = create_queue(QueueSettings(name="jobs"), "memory://")
asyncio.run(queue.publish([Job(type="look", payload=b"null")]))
environ = dict(QUEUE_URL="memory://", LOG_FORMAT="json")
sys.exit(run_queue_worker("tester", "jobs", [Look()], environ=environ))
"""


def test_a_worker_loads_nothing_before_its_first_job_that_can_wait() -> None:
    answer = subprocess.run(
        [sys.executable, "-c", FIRST_JOB],
        capture_output=True, text=True, check=True, env=os.environ, timeout=60,
    )  # fmt: skip
    assert answer.stdout == "\n", answer.stderr


def test_the_redis_library_does_not_load_opentelemetry_and_others_still_can() -> None:
    code = (
        "import sys, shared.queue.redis.queue\n"
        "print(*[name for name in ('opentelemetry.metrics', 'psutil') if name in sys.modules])\n"
        "from opentelemetry.sdk.metrics import MeterProvider\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ
    )
    assert answer.stdout.split() == []


def _run_mail(environ: dict[str, str]) -> int:
    return run_queue_worker("mail", "mail:jobs", [], environ=environ)


@pytest.mark.parametrize(
    ("module", "run"),
    [
        ("shared.queue_worker", _run_mail),
        ("crawler.bootstrap", lambda environ: crawler.run(_settings(CrawlerSettings, environ))),
        ("indexer.bootstrap", lambda environ: indexer.run(_settings(IndexerSettings, environ))),
        ("sync.bootstrap", lambda environ: sync.run(_settings(SyncSettings, environ))),
    ],
)
def test_every_worker_names_what_its_forked_processes_would_import(
    module: str, run: Callable[[dict[str, str]], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    said: dict[str, Sequence[str]] = {}
    monkeypatch.setattr(f"{module}.run_worker", lambda *_, **more: said.update(more) or 0)
    assert run({"QUEUE_URL": "nats://h", "DATABASE_URL": "postgresql://h/d"}) == 0
    adapters = {"shared.queue.nats_jetstream.queue"}
    if module != "shared.queue_worker":
        adapters.add("shared.documents.postgres")
    if module == "crawler.bootstrap":
        adapters.add("crawler.frontier.postgres_redis.frontier")
        assert said.pop("helpers") == ("crawler.parser.child",)
    if module == "indexer.bootstrap":
        adapters.add("indexer.search.tantivy.index")
    assert set(said.pop("preload")) == adapters
    assert said == {}
    assert all(map(find_spec, adapters))


def _settings(kind: type[S], environ: dict[str, str]) -> S:
    return load(kind, flags={}, environ=environ).settings
