"""One consumer's dialogue with the exchange script: numbered calls, one at a time.

A look is a call that settles nothing and claims one job. It is sent ahead, behind a blocking
command: the server carries it out when the command ends, so that a wake-up brings its job along.
Nobody may come to hear its answer. So each call names the last answer that was heard, and what
a later one handed out goes back to the queue; a look that comes after such a call is refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import msgspec
import redis.asyncio

from shared.clock import Clock
from shared.queue.port import InboxDecoder, QueueSettings
from shared.queue.redis.answers import Answers, hands_out, used_up
from shared.queue.redis.keys import QueueKeys
from shared.queue.redis.lane_limits import encode_limits
from shared.queue.redis.scripts import EXCHANGE_PARTS
from shared.queue.redis.settlement import arguments_of
from shared.redis.client import address_of
from shared.redis.faults import translated
from shared.redis.script import Argument, Script
from shared.verdicts import HandBack, Settlement
from shared.work_source import Exchange

MOST_PER_CALL = 1000
"""Jobs one call hands out, and jobs that one call brings back after a delay or a crash."""
ANSWER_KEPT_SECONDS = 3600

_script = Script("shared.queue.redis", *EXCHANGE_PARTS, "exchange.lua")


class _Call(msgspec.Struct):
    """A call that has been sent and may have to be sent again."""

    number: int
    asked: tuple[tuple[str, ...], int]
    """Tokens and wish of the caller, by which a repeated call is known."""
    arguments: list[Argument]
    sent: float
    """Before the first sending."""


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
        self._clock = clock
        self._origin = origin
        self._answers = Answers(decoder)
        self._turn = asyncio.Lock()
        self._number = 0
        self._heard = 0
        self._open = False
        """Whether no call with this number is known to have done anything, so that others may
        have it, too."""
        self._since = 0.0
        """No lease that this number hands out began before."""
        self._unanswered: _Call | None = None
        self._refused: list[str] = []
        self._wish_left = False
        self._ahead: list[Any] | None = None

    @property
    def queue_is_paused(self) -> bool:
        """Whether the last answer said that nothing is handed out now."""
        return "" in self._answers.paused

    async def exchange(self, settled: Sequence[Settlement], want: int) -> Exchange:
        """See WorkSource.exchange."""
        asked = (tuple(each.delivery.token for each in settled), want)
        async with self._turn:
            if not settled and want and (found := self._found_ahead()):
                self._wish_left = want > 1
                return found
            call = self._unanswered
            if call is None or call.asked != asked:
                sent = await self._conclude(call, settled) if call else list(settled)
                call = self._new_call(asked, sent, want)
            answer = await self._send(call)
            self._wish_left = len(answer.deliveries) < want
        if not (self._refused or answer.refused):
            return answer
        ours = set(asked[0])
        refused = [token for token in (*self._refused, *answer.refused) if token in ours]
        self._refused = []
        return msgspec.structs.replace(answer, refused=refused)

    def look(self) -> tuple[int, list[Argument]] | None:
        """Return the number and the command of a look.

        None when the caller may have no use for what it finds, or has to hear something first.
        """
        busy = self._unanswered or self._ahead or self._answers.has_more_to_say
        if busy or not self._wish_left:
            return None
        if not self._open:
            self._begin_number()
        arguments = [*self._head(1), *arguments_of(())]
        return self._number, _script.command(self._keys, arguments)

    def looked(self, number: int, answer: Any) -> bool:
        """Take the answer to a look; True when it brings a job, which `exchange` returns next."""
        current = self._open and number == self._number
        if not current or isinstance(answer, Exception) or not hands_out(answer):
            return False
        if self._unanswered is None:  # else that call's answer brings it, or the next one's
            self._ahead = answer
        return True

    @property
    def has_found(self) -> bool:
        """Whether a look has brought a job that nobody has asked for yet."""
        return self._ahead is not None

    async def decline(self) -> None:
        """Give back what a look has brought, unless somebody has asked for it meanwhile."""
        async with self._turn:
            if self._ahead:
                await self._send(self._new_call(((), 0), [], 0))

    async def leave(self) -> None:
        """Give back whatever was handed out and not heard of; no look finds anything any more."""
        async with self._turn:
            if self._open or self._unanswered:
                await self._send(self._new_call(((), 0), [], 0))

    def _found_ahead(self) -> Exchange | None:
        answer = self._ahead
        if answer is None or answer[1] == 0:  # there is more: one call claims all of it
            return None
        self._ahead = None
        self._hear(self._number)
        return self._read(answer)

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
        unreadable, park = self._answers.rest()
        settled = settled + unreadable
        if settled or park or not want or self._ahead or not self._open:
            self._begin_number()
        self._ahead = None
        arguments = [*self._head(min(want, MOST_PER_CALL)), *arguments_of(settled), *park]
        self._unanswered = _Call(self._number, asked, arguments, self._clock.monotonic())
        return self._unanswered

    def _begin_number(self) -> None:
        self._number += 1
        self._open = True
        self._since = self._clock.monotonic()

    def _head(self, want: int) -> list[Argument]:
        settings = self._settings
        return [
            self.consumer, self._number, want, int(settings.lease_seconds * 1000),
            settings.max_crashes, MOST_PER_CALL, self._origin, ANSWER_KEPT_SECONDS,
            alive_ms(settings), self._lane_limits, self._heard,
        ]  # fmt: skip

    async def _send(self, call: _Call) -> Exchange:
        with translated(self._address):
            answer = await _script.run(self._client, self._keys, call.arguments)
        self._unanswered = None
        read = self._read(answer)
        if used_up(answer):
            self._hear(call.number)
        else:
            self._since = call.sent  # no look of this number had found anything by then
        return read

    def _hear(self, number: int) -> None:
        self._heard = number
        self._open = False

    def _read(self, answer: list[Any]) -> Exchange:
        return self._answers.read(answer, self._since + self._settings.lease_seconds)


def alive_ms(settings: QueueSettings) -> int:
    """How long a consumer that is not heard of counts as alive: a lease, but not under 10 s."""
    return int(max(settings.lease_seconds, 10.0) * 1000)
