"""Renews leases in Redis from the keeper's own thread, over its own blocking connection."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cached_property

import redis

from shared.queue.port import QueueSettings
from shared.queue.redis.exchanger import alive_ms
from shared.queue.redis.keys import QueueKeys
from shared.redis.client import ANSWER_TIMEOUT_SECONDS, connect_blocking
from shared.redis.faults import translated
from shared.redis.script import Argument, Script
from shared.renewal_thread import RenewalThread

MOST_PER_CALL = 1000

_script = Script("shared.queue.redis", "renew.lua")


def redis_lease_keeper(
    url: str, address: str, keys: QueueKeys, settings: QueueSettings, consumer: str
) -> RenewalThread:
    """Return a keeper; its thread makes its client and connection when it first needs them.

    `address` is what people may read of the URL.
    """
    return RenewalThread(_Renewal(url, address, keys, settings, consumer), settings.lease_seconds)


class _Renewal:
    def __init__(
        self, url: str, address: str, keys: QueueKeys, settings: QueueSettings, consumer: str
    ) -> None:
        self._url = url
        self._address = address
        # A connection that went silent must be given up while there is time for another.
        self._patience = min(ANSWER_TIMEOUT_SECONDS, settings.lease_seconds / 3)
        self._keys = [keys.leases, keys.alive]
        self._head: list[Argument] = [
            consumer,
            int(settings.lease_seconds * 1000),
            alive_ms(settings),
        ]

    @cached_property
    def _client(self) -> redis.Redis:
        return connect_blocking(self._url, answer_timeout_seconds=self._patience)

    def __call__(self, tokens: Sequence[str]) -> Collection[str]:
        lost: list[str] = []
        with translated(self._address):
            for at in range(0, max(len(tokens), 1), MOST_PER_CALL):
                part = tokens[at : at + MOST_PER_CALL]
                found = _script.run_blocking(self._client, self._keys, [*self._head, *part])
                lost.extend(token.decode() for token in found)
        return lost
