"""Settings of the `workers` command itself; what it starts has settings of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec

from shared.config import setting
from shared.settings import WorkerSettings


class SuiteSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where the data is, which servers are used, and on which ports the workers answer."""

    data_dir: Annotated[
        str, setting("Directory of the embedded servers, the embedded index and the logs.")
    ] = "var"
    queue_url: Annotated[
        str, setting("Broker of the job queues; empty is the Redis of REDIS_URL.", secret=True)
    ] = ""
    redis_url: Annotated[
        str, setting("redis:// URL; empty starts the embedded Valkey.", secret=True)
    ] = ""
    redis_addr: Annotated[str, setting("host:port of Redis; another way to say REDIS_URL.")] = ""
    redis_password: Annotated[str, setting("Password that goes with REDIS_ADDR.", secret=True)] = ""
    database_url: Annotated[
        str, setting("postgresql:// URL; empty starts the embedded Postgres.", secret=True)
    ] = ""
    elasticsearch_url: Annotated[
        str, setting("http(s):// URL; empty uses the embedded Tantivy index.", secret=True)
    ] = ""
    crawler_port: Annotated[
        int, setting("Metrics and health port of worker-crawler.", ge=0, le=65_535)
    ] = 9101
    indexer_port: Annotated[
        int, setting("Metrics and health port of worker-indexer.", ge=0, le=65_535)
    ] = 9102
    sync_port: Annotated[
        int, setting("Metrics and health port of worker-sync.", ge=0, le=65_535)
    ] = 9103

    def redis(self) -> str:
        """Return the URL of the environment's Redis, or nothing when it names none."""
        if not (self.redis_url or self.redis_addr):
            return ""
        return WorkerSettings(
            redis_url=self.redis_url,
            redis_addr=self.redis_addr,
            redis_password=self.redis_password,
        ).redis()

    def directory(self) -> Path:
        """Return the data directory as an absolute path."""
        return Path(self.data_dir).expanduser().resolve()
