"""What the workers are doing, when they are done, and whether the result is right."""

from __future__ import annotations

import json

from tests.acceptance.deployment import Deployment
from tests.acceptance.doc_site import Walk
from tests.acceptance.worker_process import until

QUEUES = ("indexer:jobs", "crawler:seeds")


def fetching(deployment: Deployment) -> int:
    """Return how many requests the frontier has granted and not got back."""
    with deployment.redis_client() as client:
        keys = list(client.scan_iter("{crawler:frontier:*}:leases"))
        return sum(int(client.zcard(key)) for key in keys)


def first_fetches(deployment: Deployment) -> bool:
    """Whether requests are granted, and no killed worker had one of these pages before.

    What is killed with three workers is given up by design; such a page would be missing.
    """
    crashed = "SELECT count(*) FROM worker_suite.pages WHERE claimed_by IS NOT NULL AND crashes > 0"
    return fetching(deployment) > 0 and deployment.value(crashed) == 0


def first_leases(deployment: Deployment, queue: str) -> bool:
    """Whether jobs are handed out, and no killed worker had one of them before."""
    with deployment.redis_client() as client:
        tokens = client.zrange(f"{{{queue}}}:leases", 0, -1)
    return bool(tokens) and all(token.endswith(b":0") for token in tokens)


def relaying(deployment: Deployment) -> int:
    """Return how many transactions hold outbox rows."""
    return int(
        deployment.value(
            "SELECT count(DISTINCT pid) FROM pg_locks JOIN pg_class ON relation = pg_class.oid"
            " WHERE relname = 'outbox' AND mode = 'RowShareLock'"
        )
    )


def settle(deployment: Deployment, walk: Walk) -> None:
    """Wait until every page is stored and indexed and nothing is on its way."""

    def settled() -> bool:
        return (
            idle(deployment)
            and set(deployment.documents_by_url()) == set(walk.pages)
            and deployment.indexed() == deployment.stored()
        )

    try:
        until("crawl and index have settled", settled, 420, every=1.0)
    except AssertionError:
        print(explain(deployment, walk))
        raise


def idle(deployment: Deployment) -> bool:
    """Whether nothing is due, in flight, in the outbox or in a queue."""
    busy = deployment.value(
        "SELECT (SELECT count(*) FROM worker_suite.pages WHERE claimed_by IS NOT NULL"
        "   OR due <= now()) + (SELECT count(*) FROM worker_suite.outbox)"
    )
    return busy == 0 and all(deployment.leased(queue) == 0 for queue in QUEUES)


def explain(deployment: Deployment, walk: Walk) -> str:
    """Say what is missing, for the person who reads the failure."""
    stored = set(deployment.documents_by_url())
    states = deployment.sql(
        "SELECT kind, state, reason, claimed_by IS NOT NULL AS claimed, count(*)"
        " FROM worker_suite.pages GROUP BY 1, 2, 3, 4 ORDER BY 5 DESC"
    )
    return json.dumps(
        {
            "missing": sorted(set(walk.pages) - stored)[:20],
            "extra": sorted(stored - set(walk.pages))[:20],
            "pages": states,
            "outbox": deployment.value("SELECT count(*) FROM worker_suite.outbox"),
            "indexed": len(deployment.indexed()),
        },
        indent=1,
    )


def check_agreement(deployment: Deployment, walk: Walk) -> None:
    """Every reachable page is in Postgres exactly once, and in the index with the same hash."""
    assert set(deployment.documents_by_url()) == set(walk.pages)
    stored = deployment.stored()
    assert len(stored) == len(walk.pages)
    assert deployment.indexed() == stored


def check_no_dead_letters(deployment: Deployment) -> None:
    """No job was given up."""
    assert {queue: deployment.dead_letters(queue) for queue in QUEUES} == {q: {} for q in QUEUES}
