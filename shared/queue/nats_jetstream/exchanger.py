"""One consumer's exchanges: settle, claim, and sort what must not be handed out."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from shared.clock import Clock
from shared.queue.nats_jetstream.claims import Claims
from shared.queue.nats_jetstream.leases import Leases
from shared.queue.nats_jetstream.link import Link
from shared.queue.nats_jetstream.names import Names
from shared.queue.nats_jetstream.session import Session
from shared.queue.nats_jetstream.settlement import Ending, Endings, settle
from shared.queue.nats_jetstream.sorting import Sorted, Sorting
from shared.queue.nats_jetstream.store import largest_body
from shared.queue.nats_jetstream.sweeper import Sweeper
from shared.queue.nats_jetstream.wake_up import WakeUp
from shared.queue.port import InboxDecoder, QueueSettings
from shared.verdicts import Settlement
from shared.work_source import Exchange


class Exchanger:
    """Settles and claims for one consumer."""

    def __init__(
        self,
        link: Link,
        names: Names,
        settings: QueueSettings,
        decoder: InboxDecoder,
        clock: Clock,
        leases: Leases,
        wake_up: WakeUp,
    ) -> None:
        self._link = link
        self._names = names
        self._leases = leases
        self._wake_up = wake_up
        self._turn = asyncio.Lock()
        self._claims = Claims(names, clock)
        self._sorting = Sorting(settings, decoder, clock, leases)
        self._sweeper = Sweeper(names, clock)
        self._suspect = ""
        self._was_short = False

    async def exchange(self, settled: Sequence[Settlement], want: int) -> Exchange:
        """See WorkSource.exchange. A repeated call stores and acks the same again, which the
        server does once."""
        async with self._turn:
            session = await self._link.session()
            if settled:
                await self._sweeper.sweep_if_due(session)
            refused, endings = self._endings(session, settled)
            unconfirmed = await settle(session, list(endings.values()))
            if self._suspect in endings or not self._leases.holds(self._suspect):
                self._suspect = ""
            try:
                claimed = await self._claim(session, want)
                await session.confirmed(unconfirmed)
            except BaseException:
                self._claims.put_back()
                raise
            self._claims.answered()
            for token in endings:
                self._leases.end(token)
            self._leases.prune()
        return Exchange(
            deliveries=claimed.deliveries,
            refused=refused,
            next_due_seconds=0.0 if claimed.more else None,
        )

    async def leave(self) -> None:
        """Give back what arrived for calls that nobody waited for, and tidy up."""
        async with self._turn:
            session = await self._link.session()
            left = self._sort(session, 0)
            self._claims.answered()
            await session.confirmed(await settle(session, left.endings))
            await self._sweeper.sweep(session)

    def _endings(
        self, session: Session, settled: Sequence[Settlement]
    ) -> tuple[list[str], dict[str, Ending]]:
        refused: list[str] = []
        endings: dict[str, Ending] = {}
        make = Endings(self._names, self._link.origin, largest_body(session))
        for each in settled:
            token = each.delivery.token
            lease = self._leases.get(token)
            if lease is None or token in endings:
                refused.append(token)
            else:
                endings[token] = make.of(each, lease.first_seen_ms)
        return refused, endings

    async def _claim(self, session: Session, want: int) -> Sorted:
        claimed = Sorted()
        if want and self._was_short:
            await self._wake_up.arm(session)
        await self._ask(session, want, claimed)
        self._was_short = len(claimed.deliveries) < want
        if self._was_short and not self._wake_up.armed(session):
            await self._wake_up.arm(session)
            await self._ask(session, want, claimed)
        return claimed

    async def _ask(self, session: Session, want: int, claimed: Sorted) -> None:
        room = want - len(claimed.deliveries)
        if room:
            await self._claims.claim(session, room, suspects=not self._suspect)
        found = self._sort(session, room)
        if found.endings:
            await session.confirmed(await settle(session, found.endings))
        claimed.add(found)
        if found.moved and not self._suspect and len(claimed.deliveries) < want:
            await self._claims.claim_suspect(session)
            claimed.add(self._sort(session, 1))

    def _sort(self, session: Session, room: int) -> Sorted:
        make = Endings(self._names, self._link.origin, largest_body(session))
        found = self._sorting.sort(self._claims.take(), room, make, self._link.origin)
        if found.suspect:
            self._suspect = found.suspect
        return found
