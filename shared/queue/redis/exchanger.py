"""One consumer's dialogue with the exchange script: numbered calls, one at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, partial
from typing import Any, overload
from uuid import uuid4

import msgspec
import redis.asyncio

from shared.clock import Clock
from shared.jobs import Delivery, Job
from shared.queue.port import InboxDecoder, QueueSettings
from shared.queue.redis.keys import QueueKeys
from shared.queue.redis.lane_limits import encode_limits
from shared.queue.redis.scripts import EXCHANGE_PARTS
from shared.queue.redis.settlement import arguments_of
from shared.queue.redis.stored_job import RAW, decode_job, first_seen_ms
from shared.redis.client import address_of
from shared.redis.faults import translated
from shared.redis.script import Argument, Script
from shared.verdicts import DeadLetter, HandBack, Settlement
from shared.work_source import Exchange

MOST_PER_CALL = 1000
"""Jobs one call hands out, and jobs that one call brings back after a delay or a crash."""
ANSWER_KEPT_SECONDS = 3600
_FIRST = ":1:0:0"
"""End of the token of a job that is handed out for the first time."""

_script = Script("shared.queue.redis", *EXCHANGE_PARTS, "exchange.lua")


class _Call(msgspec.Struct):
    """A call that has been sent and may have to be sent again."""

    asked: tuple[tuple[str, ...], int]
    """Tokens and wish of the caller, by which a repeated call is known."""
    arguments: list[Argument]
    started: float
    """Before the first sending: a lease handed out by any sending lasts at least from here."""


class Exchanger:
    """Settles and claims for one consumer, whose name no other start of a process ever has."""

    def __init__(
        self,
        client: redis.asyncio.Redis,
        keys: QueueKeys,
        settings: QueueSettings,
        decoder: InboxDecoder,
        clock: Clock,
        origin: str,
    ) -> None:
        self.consumer = uuid4().hex
        self._client = client
        self._address = address_of(client)
        self._keys = [
            keys.inbox, keys.intake, keys.jobs, keys.leases, keys.delayed, *keys.ready,
            keys.suspects, keys.dedup, keys.dead, keys.dead_records, keys.alive, keys.serial,
            keys.answer(self.consumer), keys.prefix,
        ]  # fmt: skip
        self._settings = settings
        self._lane_limits = encode_limits(settings.lane_limits)
        self._decoder = decoder
        self._clock = clock
        self._origin = origin
        self._turn = asyncio.Lock()
        self._number = 0
        self._unanswered: _Call | None = None
        self._unreadable: list[Settlement] = []
        self._paused: frozenset[str] = frozenset()
        self._to_park: list[Delivery] = []
        self._refused: list[str] = []

    @property
    def queue_is_paused(self) -> bool:
        """Whether the last answer said that nothing is handed out now."""
        return "" in self._paused

    async def exchange(self, settled: Sequence[Settlement], want: int) -> Exchange:
        """See WorkSource.exchange."""
        asked = (tuple(each.delivery.token for each in settled), want)
        async with self._turn:
            call = self._unanswered
            if call is None or call.asked != asked:
                sent = await self._conclude(call, settled) if call else list(settled)
                call = self._new_call(asked, sent, want)
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

    def _new_call(
        self, asked: tuple[tuple[str, ...], int], settled: list[Settlement], want: int
    ) -> _Call:
        self._number += 1
        lease_ms = int(self._settings.lease_seconds * 1000)
        head: list[Argument] = [
            self.consumer, self._number, min(want, MOST_PER_CALL), lease_ms,
            self._settings.max_crashes, MOST_PER_CALL, self._origin, ANSWER_KEPT_SECONDS,
            alive_ms(self._settings), self._lane_limits,
        ]  # fmt: skip
        arguments = head + arguments_of(settled + self._unreadable)
        for each in self._to_park:
            arguments += ("park", each.token, each.job.type)
        self._unreadable, self._to_park = [], []
        self._unanswered = _Call(asked, arguments, self._clock.monotonic())
        return self._unanswered

    async def _send(self, call: _Call) -> Exchange:
        with translated(self._address):
            answer = await _script.run(self._client, self._keys, call.arguments)
        self._unanswered = None
        return self._read(answer, call.started)

    def _read(self, answer: list[Any], started: float) -> Exchange:
        now, due, paused, refused = answer[:4]
        self._paused = frozenset(name.decode() for name in paused) if paused else frozenset()
        tokens, stored = answer[4 + refused :: 2], answer[5 + refused :: 2]
        deliveries: Sequence[Delivery] = Unread(
            len(tokens), partial(self._deliveries, tokens, stored, now, started)
        )
        if self._paused or any(job[0] == RAW for job in stored):
            deliveries = list(deliveries)  # what cannot be read, or is paused, is known only then
        if self._unreadable or self._to_park:
            due = 0  # so that the pool soon calls again, which dead-letters or parks them
        return Exchange(
            deliveries=deliveries,
            refused=[token.decode() for token in answer[4 : 4 + refused]],
            next_due_seconds=None if due < 0 else due / 1000.0,
        )

    def _deliveries(
        self, tokens: list[bytes], stored: list[bytes], now: int, started: float
    ) -> list[Delivery]:
        lease_until = started + self._settings.lease_seconds
        read = (
            self._delivery(token.decode(), job, now, lease_until)
            for token, job in zip(tokens, stored, strict=True)
        )
        return [delivery for delivery in read if delivery is not None]

    def _delivery(self, token: str, stored: bytes, now: int, lease_until: float) -> Delivery | None:
        key, attempts, crashes = _parsed(token)
        try:
            job = decode_job(key, stored, self._decoder)
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
            age_seconds=(now - first_seen_ms(stored)) / 1000.0,
        )
        if self._paused and job.type in self._paused:
            self._to_park.append(delivery)  # a message whose type only the decoder knows
            return None
        return delivery


class Unread(Sequence[Delivery]):
    """Deliveries that are read when somebody looks: a pool may ask for the next ones before."""

    def __init__(self, count: int, read: Callable[[], list[Delivery]]) -> None:
        self._count = count
        self._read = read

    @cached_property
    def _deliveries(self) -> list[Delivery]:
        return self._read()

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Delivery]:
        return iter(self._deliveries)

    @overload
    def __getitem__(self, at: int) -> Delivery: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Delivery]: ...
    def __getitem__(self, at: int | slice) -> Delivery | Sequence[Delivery]:
        return self._deliveries[at]


def _parsed(token: str) -> tuple[str, int, int]:
    if token.endswith(_FIRST):
        return token[:-6], 0, 0
    key, _epoch, attempts, crashes = token.rsplit(":", 3)
    return key, int(attempts), int(crashes)


def alive_ms(settings: QueueSettings) -> int:
    """How long a consumer that is not heard of counts as alive: a lease, but not under 10 s."""
    return int(max(settings.lease_seconds, 10.0) * 1000)
