"""The three workers as a user deploys them: real servers, separate processes, one environment."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis

from shared.embedded.postgres import wheel_programs
from shared.embedded.server_process import free_port
from tests.acceptance.worker_process import WorkerProcess, command
from tests.services.elasticsearch import Elasticsearch
from tests.services.servers import Postgres, Redis

Row = dict[str, Any]


class Deployment:
    """Servers, workers and what a test asks of them, without the suite's own code."""

    def __init__(
        self,
        directory: Path,
        redis_server: Redis,
        postgres: Postgres,
        elasticsearch: Elasticsearch,
        settings: Mapping[str, str],
    ) -> None:
        self.redis = redis_server
        self.postgres = postgres
        self.elasticsearch = elasticsearch
        self.environment = {
            "REDIS_URL": redis_server.url,
            "DATABASE_URL": postgres.url,
            "ELASTICSEARCH_URL": elasticsearch.url,
            "SEARCH_BACKEND": "elasticsearch",
            "INDEX_NAME": "acceptance",
            "ALLOW_NETWORKS": "127.0.0.0/8",
            "LEASE_SECONDS": "5",
            "LOG_FORMAT": "json",
            **settings,
        }
        self.crawler, self.indexer, self.sync = (
            WorkerProcess(package, self.environment, free_port(), directory / f"{package}.log")
            for package in ("crawler", "indexer", "sync")
        )

    @property
    def workers(self) -> list[WorkerProcess]:
        """The three workers."""
        return [self.crawler, self.indexer, self.sync]

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run the workers; none is left behind."""
        try:
            for worker in self.workers:
                worker.start()
            yield
        finally:
            for worker in self.workers:
                worker.end()

    def run(self, package: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a worker's command; it must succeed."""
        done = command(package, *arguments, environment=self.environment)
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)
        return done

    def sql(self, query: str) -> list[Row]:
        """Ask Postgres, through its own client."""
        wrapped = f"SELECT coalesce(json_agg(q), '[]') FROM ({query}) q"
        psql = [str(wheel_programs() / "psql"), "-X", "-At", self.postgres.url, "-c", wrapped]
        done = subprocess.run(psql, check=True, capture_output=True, text=True)
        return list(json.loads(done.stdout))

    def value(self, query: str) -> Any:
        """Return the only value of a query's only row."""
        (row,) = self.sql(query)
        (value,) = row.values()
        return value

    def redis_client(self) -> redis.Redis:
        """Return a client of the queue's server."""
        return redis.Redis.from_url(self.redis.url)

    def indexed(self) -> dict[str, str]:
        """Return content hash by document id of every live document in the index."""
        self._elasticsearch("/acceptance/_refresh")
        found: dict[str, str] = {}
        after: list[Any] | None = None
        while True:
            page = self._elasticsearch("/acceptance/_search", _page_of_hashes(after))
            hits = page["hits"]["hits"]
            if not hits:
                return found
            for hit in hits:
                meta = hit["_source"]["worker_suite"]
                assert meta["id"] not in found, f"{meta['id']} is in the index twice"
                found[meta["id"]] = meta["content_hash"]
            after = hits[-1]["sort"]

    def _elasticsearch(self, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        request = urllib.request.Request(
            self.elasticsearch.url + path,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
            method="POST",
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return dict(json.load(answer))

    def stored(self) -> dict[str, str]:
        """Return content hash by document id of every live document in Postgres."""
        rows = self.sql(
            "SELECT id, encode(content_hash, 'hex') AS hash FROM worker_suite.documents"
            " WHERE NOT deleted"
        )
        return {row["id"]: row["hash"] for row in rows}

    def documents_by_url(self) -> dict[str, str]:
        """Return content hash by URL; a page that is there twice is a failure."""
        rows = self.sql(
            "SELECT body->>'url' AS url, encode(content_hash, 'hex') AS hash"
            " FROM worker_suite.documents WHERE NOT deleted"
        )
        found = {row["url"]: row["hash"] for row in rows}
        assert len(found) == len(rows), "a page is in Postgres more than once"
        return found

    def leased(self, queue: str) -> int:
        """Return how many jobs of a queue are handed out."""
        with self.redis_client() as client:
            return int(client.zcard(f"{{{queue}}}:leases"))

    def dead_letters(self, queue: str) -> dict[str, str]:
        """Return the dead letters of a queue as they are stored, by key."""
        with self.redis_client() as client:
            records = client.hgetall(f"{{{queue}}}:dead:records")
        return {key.decode(): record.decode(errors="replace") for key, record in records.items()}


def _page_of_hashes(after: list[Any] | None) -> dict[str, Any]:
    query: dict[str, Any] = {
        "size": 1000,
        "_source": ["worker_suite.id", "worker_suite.content_hash"],
        "query": {"match_all": {}},
        "sort": [{"worker_suite.id": "asc"}],
    }
    return {**query, "search_after": after} if after else query
