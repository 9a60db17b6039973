"""Renews the leases of granted URLs from the keeper's own thread and connection."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from crawler.frontier.postgres_redis.heads import milliseconds, script_text, shard_prefixes
from shared.redis.client import ANSWER_TIMEOUT_SECONDS, address_of, connect_blocking
from shared.redis.faults import translated
from shared.renewal_thread import RenewalThread


def frontier_lease_keeper(redis_url: str, prefix: str, lease_seconds: float) -> RenewalThread:
    """Return a keeper; its connection is made by its thread, so it may be made before a fork."""
    return RenewalThread(_Renewal(redis_url, prefix, lease_seconds), lease_seconds)


class _Renewal:
    def __init__(self, redis_url: str, prefix: str, lease_seconds: float) -> None:
        # A connection that went silent must be given up while there is time for another.
        patience = min(ANSWER_TIMEOUT_SECONDS, lease_seconds / 3)
        self._client = connect_blocking(redis_url, answer_timeout_seconds=patience)
        self._script = self._client.register_script(script_text("renew"))
        self._prefixes = shard_prefixes(prefix)
        self._lease = milliseconds(lease_seconds)

    def __call__(self, tokens: Sequence[str]) -> Collection[str]:
        if not tokens:
            return []
        with translated(address_of(self._client)):
            lost = self._script(keys=self._prefixes, args=[self._lease, *tokens])
        return [token.decode() for token in lost]
