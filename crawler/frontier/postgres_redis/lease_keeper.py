"""Renews the leases of granted URLs from a thread of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from threading import Event, Thread

from crawler.frontier.postgres_redis.heads import milliseconds, script_text, shard_prefixes
from shared.errors import WorkerSuiteError
from shared.observability.logs import get_logger
from shared.redis.client import address_of, connect_blocking
from shared.redis.faults import translated

_log = get_logger(__name__)


class FrontierLeaseKeeper:
    """Implements shared.work_source.LeaseKeeper."""

    def __init__(self, redis_url: str, prefix: str, lease_seconds: float) -> None:
        """Keep the settings; connects only in `start`, after any fork."""
        self._redis_url = redis_url
        self._prefixes = shard_prefixes(prefix)
        self._lease_seconds = lease_seconds
        self._stop = Event()
        self._thread: Thread | None = None

    def start(self, held: Mapping[str, float], on_lost: Callable[[Collection[str]], None]) -> None:
        """Begin to renew, three times a lease."""
        self._thread = Thread(
            target=self._run, args=(held, on_lost), name="frontier-leases", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Stop renewing and join the thread."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self, held: Mapping[str, float], on_lost: Callable[[Collection[str]], None]) -> None:
        client = connect_blocking(self._redis_url)
        script = client.register_script(script_text("renew"))
        while not self._stop.wait(self._lease_seconds / 3):
            now = time.monotonic()
            tokens = [token for token, until in dict(held).items() if until > now]
            if not tokens:
                continue
            try:
                with translated(address_of(client)):
                    lease = milliseconds(self._lease_seconds)
                    lost = script(keys=self._prefixes, args=[lease, *tokens])
            except WorkerSuiteError as error:
                _log.warning("frontier_leases_not_renewed", error=str(error), held=len(tokens))
            else:
                if lost:
                    on_lost([token.decode() for token in lost])
        client.close()
