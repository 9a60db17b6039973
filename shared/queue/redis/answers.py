"""Reads the answers of the exchange script, and remembers what the next call must say of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, partial
from typing import Any, overload

from shared.jobs import Delivery, Job
from shared.queue.port import InboxDecoder
from shared.queue.redis.stored_job import RAW, decode_job, first_seen_ms
from shared.redis.script import Argument
from shared.verdicts import DeadLetter, Settlement
from shared.work_source import Exchange

HEADER = 5
"""Fields of an answer before the refused tokens."""
_FIRST = ":1:0:0"
"""End of the token of a job that is handed out for the first time."""


class Answers:
    """What one consumer was answered."""

    def __init__(self, decoder: InboxDecoder) -> None:
        self._decoder = decoder
        self._unreadable: list[Settlement] = []
        self._to_park: list[Delivery] = []
        self.paused: frozenset[str] = frozenset()
        """What the last answer said is paused; the name '' is the whole queue."""

    @property
    def has_more_to_say(self) -> bool:
        """Whether `rest` would return anything."""
        return bool(self._unreadable or self._to_park)

    def rest(self) -> tuple[list[Settlement], list[Argument]]:
        """Return what the next call is to settle besides, and to park; forgets both."""
        unreadable, park = self._unreadable, self._to_park
        self._unreadable, self._to_park = [], []
        arguments: list[Argument] = []
        for each in park:
            arguments += ("park", each.token, each.job.type)
        return unreadable, arguments

    def read(self, answer: list[Any], lease_until: float) -> Exchange:
        """Return what an answer means."""
        now, due, paused, _, refused = answer[:HEADER]
        self.paused = frozenset(name.decode() for name in paused) if paused else frozenset()
        given = HEADER + refused
        tokens, stored = answer[given::2], answer[given + 1 :: 2]
        deliveries: Sequence[Delivery] = Unread(
            len(tokens), partial(self._deliveries, tokens, stored, now, lease_until)
        )
        if self.paused or any(job[0] == RAW for job in stored):
            deliveries = list(deliveries)  # what cannot be read, or is paused, is known only then
        if self.has_more_to_say:
            due = 0  # so that the pool soon calls again, which dead-letters or parks them
        return Exchange(
            deliveries=deliveries,
            refused=[token.decode() for token in answer[HEADER:given]],
            next_due_seconds=None if due < 0 else due / 1000.0,
        )

    def _deliveries(
        self, tokens: list[bytes], stored: list[bytes], now: int, lease_until: float
    ) -> list[Delivery]:
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
        if self.paused and job.type in self.paused:
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


def used_up(answer: list[Any]) -> bool:
    """Tell whether the script has carried out a call with this number, and answers others so."""
    return bool(answer[3])


def hands_out(answer: list[Any]) -> bool:
    """Tell whether there is a delivery in an answer."""
    return len(answer) > HEADER + int(answer[HEADER - 1])


def _parsed(token: str) -> tuple[str, int, int]:
    if token.endswith(_FIRST):
        return token[:-6], 0, 0
    key, _epoch, attempts, crashes = token.rsplit(":", 3)
    return key, int(attempts), int(crashes)
