"""Renews leases in Postgres from the keeper's own thread, over its own connection."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from shared.postgres.database import PostgresDatabase
from shared.postgres.failures import translated
from shared.queue.port import QueueSettings
from shared.queue.postgres.exchanger import Registration, alive_seconds
from shared.queue.postgres.settlement import keys_and_epochs
from shared.queue.postgres.sql import statement
from shared.renewal_thread import RenewalThread

_PATIENCE_SECONDS = 5.0
_RENEW = statement("renew")


class PostgresLeaseKeeper:
    """See LeaseKeeper. Its connection is made by its thread, so it may be made before a fork."""

    def __init__(self, url: str, settings: QueueSettings, registration: Registration) -> None:
        self._renewal = _Renewal(url, settings, registration)
        self._thread = RenewalThread(self._renewal.renew, settings.lease_seconds)

    def start(self, held: Mapping[str, float], on_lost: Callable[[Collection[str]], None]) -> None:
        """See LeaseKeeper.start."""
        self._thread.start(held, on_lost)

    def stop(self) -> None:
        """See LeaseKeeper.stop."""
        self._thread.stop()
        # The caller's thread may run a loop, and a thread has room for one.
        closing = threading.Thread(target=self._renewal.close)
        closing.start()
        closing.join()


class _Renewal:
    """A small loop that runs only while leases are renewed."""

    def __init__(self, url: str, settings: QueueSettings, registration: Registration) -> None:
        self._database = PostgresDatabase(url)
        self._head = (
            registration.queue,
            registration.consumer,
            settings.lease_seconds,
            alive_seconds(settings),
        )
        # A connection that went silent must be given up while there is time for another.
        self._patience = min(_PATIENCE_SECONDS, settings.lease_seconds / 3)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._connection: Any = None

    def renew(self, tokens: Sequence[str]) -> Collection[str]:
        """Renew these; return those that are lost."""
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
        return self._loop.run_until_complete(self._renew(tokens))

    def close(self) -> None:
        """End the connection and the loop."""
        if self._loop is None:
            return
        self._loop.run_until_complete(self._disconnect())
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()
        self._loop = None

    async def _renew(self, tokens: Sequence[str]) -> Collection[str]:
        try:
            with translated():
                async with asyncio.timeout(self._patience):
                    lost = await self._ask(*keys_and_epochs(tokens))
        except BaseException:
            await self._disconnect()
            raise
        return [tokens[at - 1] for at in lost]

    async def _ask(self, keys: list[bytes], epochs: list[int]) -> Sequence[int]:
        await asyncio.sleep(0)  # lets a connection that ended meanwhile say so
        if self._connection is None or self._connection.is_closed():
            self._connection = await self._database.dedicated_connection()
        found: Sequence[int] = await self._connection.fetchval(_RENEW, *self._head, keys, epochs)
        return found

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()
            await asyncio.sleep(0)  # in which the loop closes the socket
