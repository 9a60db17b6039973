"""Renews leases on JetStream from the keeper's own thread, over its own connection."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Collection, Mapping, Sequence

from shared.clock import Clock
from shared.queue.nats_jetstream.address import Address
from shared.queue.nats_jetstream.leases import Leases
from shared.queue.nats_jetstream.session import ANSWER_TIMEOUT_SECONDS, Session
from shared.queue.nats_jetstream.settlement import IN_PROGRESS
from shared.queue.nats_jetstream.workers import say_alive
from shared.renewal_thread import RenewalThread


class NatsLeaseKeeper:
    """See LeaseKeeper. The broker does not tell which leases are lost: those are, by the local
    clock, that were not renewed in time."""

    def __init__(self, address: Address, leases: Leases, worker: str, clock: Clock) -> None:
        self._renewal = _Renewal(address, leases, worker, clock)
        self._thread = RenewalThread(self._renewal.renew, leases.seconds, clock=clock)

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

    def __init__(self, address: Address, leases: Leases, worker: str, clock: Clock) -> None:
        self._address = address
        self._leases = leases
        self._worker = worker
        self._clock = clock
        # A connection that went silent must be given up while there is time for another.
        self._patience = min(ANSWER_TIMEOUT_SECONDS, leases.seconds / 3)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._session: Session | None = None

    def renew(self, tokens: Sequence[str]) -> Collection[str]:
        """Renew these; return those that another worker may have by now."""
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
        return self._loop.run_until_complete(self._renew(tokens))

    def close(self) -> None:
        """End the connection and the loop."""
        if self._loop is None:
            return
        if self._session is not None:
            self._loop.run_until_complete(self._session.close())
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()
        self._loop = self._session = None

    async def _renew(self, tokens: Sequence[str]) -> Collection[str]:
        started = self._clock.monotonic()
        held = [(token, lease) for token in tokens if (lease := self._leases.get(token))]
        lasting = [(token, lease) for token, lease in held if lease.until > started]
        session = await self._connected()
        await say_alive(session, self._worker)
        for token, _ in lasting[:-1]:
            await session.tell(token, IN_PROGRESS)
        if lasting:
            await session.confirmed([await session.ask(lasting[-1][0], IN_PROGRESS)])
        for _, lease in lasting:
            lease.until = max(lease.until, started + self._leases.seconds)
        return [token for token, lease in held if lease.until <= started]

    async def _connected(self) -> Session:
        await asyncio.sleep(0)  # lets a connection that ended meanwhile say so
        if self._session is None or self._session.ended.is_set():
            self._session = Session(self._address, self._patience)
            await self._session.connect()
        return self._session
