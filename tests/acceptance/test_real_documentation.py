"""1,700 real pages through three workers that are killed in the middle; then pages change."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance import phrases
from tests.acceptance.deployment import Deployment
from tests.acceptance.doc_site import DocSite, Walk
from tests.acceptance.politeness import breaches, read_access_log
from tests.acceptance.settling import (
    check_agreement,
    check_no_dead_letters,
    first_fetches,
    first_leases,
    relaying,
    settle,
)

DELAY_SECONDS = 0.1
CLOCK_TOLERANCE_SECONDS = 0.005
KILLS_OF_EACH = 3

Report = Callable[[str, dict[str, Any]], None]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_page_arrives_once_politely_whatever_is_killed(
    doc_site: DocSite, access_log: Path, deploy: Callable[..., Deployment], report: Report
) -> None:
    """The main job: crawl, index and search real pages; then follow changes and removals."""
    deployment = deploy(DELAY_SECONDS)
    walk = doc_site.walk()
    deployment.run("crawler", "seed", *doc_site.seeds())
    with deployment.running():
        kill_each_worker(deployment)
        settle(deployment, walk)
        check_agreement(deployment, walk)
        check_politeness(access_log, len(walk.pages), report)
        check_no_dead_letters(deployment)
        check_search(deployment, walk, report)
        follow_changes(doc_site, deployment, report)
        check_politeness(access_log, len(walk.pages), report)
        check_no_dead_letters(deployment)


def kill_each_worker(deployment: Deployment) -> None:
    """SIGKILL each worker several times while it holds started work."""
    holds = {
        "crawler": lambda: first_fetches(deployment),
        "indexer": lambda: first_leases(deployment, "indexer:jobs"),
        "sync": lambda: relaying(deployment) > 0,
    }
    for _ in range(KILLS_OF_EACH):
        for worker in deployment.workers:
            worker.kill_while(holds[worker.package])
            worker.start()


def check_politeness(access_log: Path, pages: int, report: Report) -> None:
    """No two request starts on one address are closer than the delay."""
    requests = read_access_log(access_log)
    close = breaches(requests, DELAY_SECONDS - CLOCK_TOLERANCE_SECONDS)
    report(
        "POLITENESS",
        {
            "requests": len(requests),
            "by_host": Counter(request.host for request in requests),
            "breaches": len(close),
        },
    )
    assert len(requests) > pages, "the log does not show the crawl"
    assert close == []


def check_search(deployment: Deployment, walk: Walk, report: Report) -> None:
    """Words taken from a page find it."""
    chosen = phrases.choose(walk.pages, 200, seed=20260901)
    found = asyncio.run(phrases.ranks(chosen, deployment.environment))
    first = sum(rank == 1 for _, rank in found)
    in_ten = sum(rank is not None for _, rank in found)
    report("SEARCH", {"phrases": len(found), "rank_1": first, "in_first_ten": in_ten})
    assert len(found) == 200
    assert in_ten >= 190, [phrase for phrase, rank in found if rank is None]


def follow_changes(doc_site: DocSite, deployment: Deployment, report: Report) -> None:
    """Change 20 files, delete 10, add 5; a recrawl writes just these documents."""
    touched_only = doc_site.touch(15)
    doc_site.change(20)
    doc_site.delete(10)
    doc_site.add(5)
    after = doc_site.walk()
    stored_before = deployment.stored()
    started = deployment.value("SELECT clock_timestamp()::text")
    deployment.run("crawler", "recrawl", "--all")
    settle(deployment, after)
    check_agreement(deployment, after)

    stored = deployment.stored()
    written = {key for key in stored if stored[key] != stored_before.get(key)}
    visits = deployment.sql(
        "SELECT reason, count(*) FROM worker_suite.pages"
        f" WHERE kind = 'page' AND last_visit_at >= '{started}' GROUP BY 1"
    )
    unchanged = {row["reason"]: int(row["count"]) for row in visits}
    rewritten = deployment.value(
        f"SELECT count(*) FROM worker_suite.documents WHERE changed_at >= '{started}'"
    )
    report(
        "RECRAWL",
        {
            "pages_before": len(stored_before),
            "pages_after": len(after.pages),
            "changed": len(written & set(stored_before)),
            "added": len(set(stored) - set(stored_before)),
            "removed": len(set(stored_before) - set(stored)),
            "unchanged_304": unchanged["not_modified"],
            "unchanged_same_hash": unchanged["unchanged"],
            "document_writes": rewritten,
        },
    )
    assert len(set(stored_before) - set(stored)) == 10
    assert len(set(stored) - set(stored_before)) == 5
    assert len(written & set(stored_before)) == 20
    assert rewritten == 20 + 10 + 5
    assert unchanged["unchanged"] == len(touched_only)
    assert unchanged["not_modified"] == len(after.pages) - 20 - 5 - len(touched_only)
