"""One consumer's calls of the exchange: numbered, one at a time, repeated until answered."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec

from shared.clock import Clock
from shared.jobs import Delivery, Job
from shared.queue.port import InboxDecoder, QueueSettings
from shared.queue.postgres.session import Session
from shared.queue.postgres.settlement import Settled, columns_of
from shared.queue.postgres.sql import statement
from shared.queue.postgres.stored_job import decode_job
from shared.verdicts import DeadLetter, HandBack, Settlement
from shared.work_source import Exchange

MOST_PER_CALL = 1000
"""Jobs that one call hands out."""
LOOK_AT_ALL_SECONDS = 5.0
"""How often a call looks at everything, and not only at what the last one had left."""

_EXCHANGE = statement("exchange")


class Registration(msgspec.Struct, frozen=True):
    """A consumer as the database knows it. No other start of a process ever has its number."""

    queue: int
    consumer: int
    kind: str


class _Left(msgspec.Struct, frozen=True):
    """Where a call stopped to look; see the statement. By default nowhere."""

    looked: Any = None
    rank: int = 0
    place: int = 0


class _Call(msgspec.Struct):
    """A call that has been sent and may have to be sent again."""

    asked: tuple[tuple[str, ...], int]
    """Tokens and wish of the caller, by which a repeated call is known."""
    number: int
    settled: Settled
    left: _Left
    started: float
    """Before the first sending: a lease handed out by any sending lasts at least from here."""


class Exchanger:
    """Settles and claims for one consumer."""

    def __init__(
        self,
        session: Session,
        registration: Registration,
        settings: QueueSettings,
        decoder: InboxDecoder,
        clock: Clock,
    ) -> None:
        self.registration = registration
        self._session = session
        self._settings = settings
        self._decoder = decoder
        self._clock = clock
        self._turn = asyncio.Lock()
        self._number = 0
        self._unanswered: _Call | None = None
        self._unreadable: list[Settlement] = []
        self._to_park: list[Delivery] = []
        self._refused: list[str] = []
        self._left = _Left()
        self._look_at_all_at = 0.0

    async def exchange(self, settled: Sequence[Settlement], want: int) -> Exchange:
        """See WorkSource.exchange."""
        asked = (tuple(each.delivery.token for each in settled), want)
        async with self._turn:
            call = self._unanswered
            if call is None or call.asked != asked:
                sent = await self._conclude(call, settled) if call else settled
                call = self._new_call(asked, sent)
            answer = await self._send(call)
        if not (self._refused or answer.refused):
            return answer
        ours = set(asked[0])
        refused = [token for token in (*self._refused, *answer.refused) if token in ours]
        self._refused = []
        return msgspec.structs.replace(answer, refused=refused)

    async def _conclude(self, call: _Call, settled: Sequence[Settlement]) -> list[Settlement]:
        """Get the answer to an abandoned call; give its deliveries back, nobody waits for them."""
        answer = await self._send(call)
        self._refused.extend(answer.refused)
        already = set(call.asked[0])
        sent = [each for each in settled if each.delivery.token not in already]
        return sent + [Settlement(delivery, HandBack()) for delivery in answer.deliveries]

    def _new_call(self, asked: tuple[tuple[str, ...], int], settled: Sequence[Settlement]) -> _Call:
        self._number += 1
        columns = columns_of([*settled, *self._unreadable], self._to_park)
        self._unreadable, self._to_park = [], []
        now = self._clock.monotonic()
        if now >= self._look_at_all_at:
            self._left, self._look_at_all_at = _Left(), now + LOOK_AT_ALL_SECONDS
        self._unanswered = _Call(asked, self._number, columns, self._left, now)
        return self._unanswered

    async def _send(self, call: _Call) -> Exchange:
        rows = await self._session.fetch(
            _EXCHANGE,
            self.registration.queue,
            self.registration.consumer,
            self.registration.kind,
            call.number,
            min(call.asked[1], MOST_PER_CALL),
            self._settings.lease_seconds,
            alive_seconds(self._settings),
            self._settings.max_crashes,
            *call.settled.columns,
            call.left.looked,
            call.left.rank,
            call.left.place,
        )
        self._unanswered = None
        self._left = _left_by(rows, call.asked[1])
        return self._read(rows, call)

    def _read(self, rows: list[Any], call: _Call) -> Exchange:
        end = rows[-1]
        lease_until = call.started + self._settings.lease_seconds
        deliveries = []
        for row in rows[:-1]:
            delivery = self._delivery(row, end["paused"], lease_until)
            if delivery is not None:
                deliveries.append(delivery)
        due = end["due"]
        if self._unreadable or self._to_park:
            due = 0.0  # so that the pool soon calls again, which dead-letters or parks them
        return Exchange(
            deliveries=deliveries,
            refused=[call.settled.tokens[at - 1] for at in end["refused"]],
            next_due_seconds=due,
        )

    def _delivery(self, row: Any, paused: Sequence[bytes], lease_until: float) -> Delivery | None:
        key, attempts, crashes = row["key"].decode(), row["attempts"], row["crashes"]
        token = f"{key}:{row['epoch']}:{attempts}:{crashes}"
        try:
            job = decode_job(row, self._decoder)
        except ValueError as error:
            unreadable = Delivery(job=Job(type="", key=key), token=token)
            self._unreadable.append(Settlement(unreadable, DeadLetter(f"unreadable: {error}")))
            return None
        delivery = Delivery(
            job=job,
            token=token,
            attempt=attempts + 1,
            crashes=crashes,
            lease_until=lease_until,
            age_seconds=max(0.0, row["age"]),
        )
        if paused and job.type.encode() in paused:
            self._to_park.append(delivery)  # a message, whose type the database does not know
            return None
        return delivery


def _left_by(rows: Sequence[Any], want: int) -> _Left:
    """Tell where the next call may go on: behind the last job, if there were enough."""
    looked = rows[-1]["looked"]
    if 0 < want == len(rows) - 1 and not rows[-2]["raw"]:
        return _Left(looked, 1 + rows[-2]["priority"], rows[-2]["place"] + 1)
    return _Left(looked)


def alive_seconds(settings: QueueSettings) -> float:
    """How long a consumer that is not heard of counts as alive: a lease, but not under 10 s."""
    return max(settings.lease_seconds, 10.0)
