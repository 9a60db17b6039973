"""Claims messages from several consumers at once, without waiting for any to come."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

import msgspec
from nats.aio.msg import Msg

from shared.queue.nats_jetstream.names import CONSUMERS, Names
from shared.queue.nats_jetstream.session import NO_RESPONDERS, Session

_GONE = "consumer deleted"


class _Pull:
    """One request to one consumer, until it is answered in full."""

    def __init__(self, inbox: str, wanted: int) -> None:
        self.inbox = inbox
        self.wanted = wanted
        self.received = 0
        self.answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def end(self) -> None:
        if not self.answered.done():
            self.answered.set_result(None)


class Puller:
    """Requests on one session. Whatever is delivered goes to `arrived`, also when the call that
    asked for it was cancelled: nothing that the server handed out is forgotten."""

    def __init__(self, session: Session, names: Names, arrived: Callable[[Msg], Any]) -> None:
        self.session = session
        self._names = names
        self._arrived = arrived
        self._pulls: dict[str, _Pull] = {}
        self._number = 0
        self._inbox = session.new_inbox()

    async def start(self) -> None:
        """Begin to receive: one inbox a consumer."""
        for consumer in CONSUMERS:
            receive: Callable[[Msg], Awaitable[None]] = partial(self._receive, consumer)
            await self.session.subscribe(f"{self._inbox}.{consumer}.*", receive)

    async def pull(self, wants: Mapping[str, int]) -> dict[str, int]:
        """Ask consumers for up to so many messages each; return how many each gave."""
        pulls = {name: await self._ask(name, want) for name, want in wants.items() if want > 0}
        await self.session.answers([each.answered for each in pulls.values()])
        return {name: pull.received for name, pull in pulls.items()}

    async def _ask(self, consumer: str, want: int) -> _Pull:
        self._number += 1
        pull = _Pull(f"{self._inbox}.{consumer}.{self._number}", want)
        self._pulls[consumer] = pull
        self.session.end_with(pull.answered)
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self._names.stream}.{consumer}"
        wish = msgspec.json.encode({"batch": want, "no_wait": True})
        await self.session.tell(subject, wish, pull.inbox)
        return pull

    async def _receive(self, consumer: str, message: Msg) -> None:
        pull = self._pulls[consumer]
        if message.reply:
            self._arrived(message)
            pull.received += 1
            if pull.received >= pull.wanted:
                pull.end()
        elif message.subject == pull.inbox:  # not the end of a pull that was given up
            self._ended(pull, message.headers or {})

    def _ended(self, pull: _Pull, status: Mapping[str, str]) -> None:
        gone = status.get("Description", "").lower() == _GONE
        if (status.get("Status") == NO_RESPONDERS or gone) and not pull.answered.done():
            pull.answered.set_exception(self.session.outdated("the queue's consumers are gone"))
            pull.answered.exception()  # of several, whoever asked hears one
        pull.end()
