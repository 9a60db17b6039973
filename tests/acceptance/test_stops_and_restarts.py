"""Workers that are told to stop, and servers that go away, in the middle of full work."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from tests.acceptance.deployment import Deployment
from tests.acceptance.doc_site import DocSite
from tests.acceptance.settling import (
    check_agreement,
    check_no_dead_letters,
    fetching,
    relaying,
    settle,
)
from tests.acceptance.worker_process import until

SITE = ["python"]
DELAY_SECONDS = 0.02
GRACE_SECONDS = 25


@pytest.mark.slow
@pytest.mark.timeout(420)
@pytest.mark.usefixtures("access_log")
def test_sigterm_loses_nothing_and_charges_no_attempt(
    doc_site: DocSite, deploy: Callable[..., Deployment], report: Callable[[str, Any], None]
) -> None:
    """Each worker exits 0 in time; what it had not finished goes on as if never handed out."""
    deployment = deploy(DELAY_SECONDS, SITE)
    deployment.run("crawler", "seed", *doc_site.seeds(SITE))
    busy = {
        "crawler": lambda: fetching(deployment) > 0,
        "indexer": lambda: deployment.leased("indexer:jobs") > 0,
        "sync": lambda: relaying(deployment) > 0,
    }
    with deployment.running():
        for worker in deployment.workers:
            until(f"{worker.package} is in full work", busy[worker.package], 60, every=0.002)
            code = worker.terminate(GRACE_SECONDS)
            report("SIGTERM", {"worker": worker.package, "exit_code": code})
            assert code == 0, worker.log.read_text()[-3000:]
            assert not busy[worker.package](), "work is still held after a clean stop"
            assert charges(deployment) == []
            worker.start()
        walk = doc_site.walk(SITE)
        settle(deployment, walk)
        check_agreement(deployment, walk)
        check_no_dead_letters(deployment)
        assert charges(deployment) == []


def charges(deployment: Deployment) -> list[str]:
    """Return what was charged an attempt or a crash: waiting jobs, and pages."""
    with deployment.redis_client() as client:
        lists = [f"{{indexer:jobs}}:ready:{priority}" for priority in range(3)]
        members = [member for name in lists for member in client.lrange(name, 0, -1)]
        members += client.zrange("{indexer:jobs}:delayed", 0, -1)
    jobs = [m.decode() for m in members if m.decode().split(":")[-2:] != ["0", "0"]]
    pages = deployment.sql("SELECT url FROM worker_suite.pages WHERE attempts > 0 OR crashes > 0")
    return jobs + [row["url"] for row in pages]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("access_log")
def test_workers_recover_when_each_server_is_restarted(
    doc_site: DocSite, deploy: Callable[..., Deployment], report: Callable[[str, Any], None]
) -> None:
    """Redis, Postgres and Elasticsearch restart in full work; no worker does, nothing is lost."""
    deployment = deploy(DELAY_SECONDS, SITE)
    deployment.run("crawler", "seed", *doc_site.seeds(SITE))
    with deployment.running():
        pids = [worker.process.pid for worker in deployment.workers if worker.process]
        for server in (deployment.redis, deployment.postgres, deployment.elasticsearch):
            count = len(deployment.stored())
            until("pages go on being stored", partial(progress, deployment, count), 120)
            until("pages are being fetched", lambda: fetching(deployment) > 0, 60)
            server.restart()
            report("RESTARTED", {"server": type(server).__name__, "documents_before": count})
        walk = doc_site.walk(SITE)
        settle(deployment, walk)
        check_agreement(deployment, walk)
        check_no_dead_letters(deployment)
        assert pids == [worker.process.pid for worker in deployment.workers if worker.process]
        assert all(w.process and w.process.poll() is None for w in deployment.workers)


def progress(deployment: Deployment, since: int) -> bool:
    """Whether at least 20 more documents are stored."""
    return len(deployment.stored()) >= since + 20
