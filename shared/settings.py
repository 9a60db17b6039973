"""Settings that every worker has. Each worker's own struct extends these."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import quote

import msgspec

from shared.config import setting


class WorkerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings common to the three workers; units are in the names."""

    workers: Annotated[int, setting("How many jobs one process runs at once.", ge=1, le=10_000)] = (
        10
    )
    processes: Annotated[int, setting("How many processes to fork.", ge=1, le=256)] = 1
    max_memory_mb: Annotated[
        int,
        setting(
            "A process that has grown past this drains and is replaced; 0 sets no limit.",
            ge=0,
            le=1_000_000,
        ),
    ] = 0
    grace_seconds: Annotated[
        float, setting("How long running jobs may finish after SIGTERM.", ge=0, le=3600)
    ] = 25.0
    lease_seconds: Annotated[
        float,
        setting("How long a job belongs to its worker without renewal.", ge=1, le=86_400),
    ] = 30.0
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        setting("Least severe level that is logged."),
    ] = "info"
    log_format: Annotated[
        Literal["auto", "json", "console"],
        setting("json, console, or auto: console on a terminal, json elsewhere."),
    ] = "auto"
    metrics_host: Annotated[
        str, setting("Address of the metrics and health port; loopback by default.")
    ] = "127.0.0.1"
    metrics_port: Annotated[
        int, setting("Port for /metrics and /health; 0 picks a free one.", ge=0, le=65_535)
    ] = 0
    queue_url: Annotated[
        str,
        setting(
            "Broker of the job queues, by the scheme of its URL; default: the Redis of REDIS_URL.",
            secret=True,
        ),
    ] = ""
    redis_url: Annotated[
        str, setting("redis:// or rediss:// URL; wins over REDIS_ADDR.", secret=True)
    ] = ""
    redis_addr: Annotated[str, setting("host:port of Redis or Valkey.")] = "127.0.0.1:6379"
    redis_password: Annotated[str, setting("Password that goes with REDIS_ADDR.", secret=True)] = ""
    allow_eviction: Annotated[
        bool,
        setting("Only warn when Redis may evict keys (maxmemory-policy is not noeviction)."),
    ] = False
    database_url: Annotated[
        str, setting("postgresql:// URL of the database that is the truth.", secret=True)
    ] = ""

    def redis(self) -> str:
        """Return the URL of Redis from REDIS_URL, or from REDIS_ADDR and REDIS_PASSWORD."""
        if self.redis_url:
            return self.redis_url
        password = f":{quote(self.redis_password, safe='')}@" if self.redis_password else ""
        return f"redis://{password}{self.redis_addr}/0"

    def broker(self) -> str:
        """Return the URL of the job queues' broker: QUEUE_URL, or else Redis."""
        return self.queue_url or self.redis()
